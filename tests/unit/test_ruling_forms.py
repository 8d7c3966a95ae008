"""What people decide, as bytes: whole again, refused where it is damaged, and stored as it was."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from watchkeeper import plugins
from watchkeeper.bus.base import MIXED, Delivery
from watchkeeper.clock import FakeClock
from watchkeeper.errors import BadInput, Permanent
from watchkeeper.ingest.change_stage import ChangeStage
from watchkeeper.know.decisions_stage import Decisions, newest_settings
from watchkeeper.model import wire
from watchkeeper.model.audit import AuditEntry
from watchkeeper.model.principal import INSTALLATION
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict, Word, subject_of
from watchkeeper.model.series import DEFAULT_TENANT, Entity
from watchkeeper.store.base import Filter, Store

Ruling = DetectionSet | Maintenance | Verdict

WHOLE: dict[str, tuple[int, Ruling]] = {
    "settings": (
        wire.SETTINGS,
        make.settings(
            '{"a": "ü"}', expected=7, request_id="r1", changed="a: 1 -> 2", version=8, position=9
        ),
    ),
    "settings of the file": (wire.SETTINGS, make.settings("", expected=0)),
    "settings that expect nothing": (wire.SETTINGS, make.settings("{}")),
    "a verdict": (
        wire.VERDICT,
        make.verdict(
            Word.EXPECTED, entity=Entity("shop", "prod"), partition=63, comment="we knew",
            request_id="r2", position=2**62,
        ),
    ),
    "a withdrawn verdict": (wire.VERDICT, make.verdict(Word.WITHDRAWN)),
    "a window": (
        wire.MAINTENANCE,
        make.maintenance(match={"service": "sh*p", "ü": "\x00"}, request_id="r3", position=5),
    ),
    "a window of everything": (wire.MAINTENANCE, make.maintenance(match={})),
    "a window before the epoch": (wire.MAINTENANCE, make.maintenance(from_ns=-5, to_ns=-1)),
}  # fmt: skip


@pytest.mark.parametrize("case", WHOLE)
def test_a_ruling_comes_back_whole(case: str) -> None:
    kind, ruling = WHOLE[case]

    data = wire.encode(ruling)

    assert data[:2] == bytes([wire.VERSION, kind])
    assert wire.decode(data) == ruling


@pytest.mark.parametrize("case", WHOLE)
def test_no_ruling_is_read_from_a_part_of_its_bytes(case: str) -> None:
    data = bytes(wire.encode(WHOLE[case][1]))

    for length in range(len(data)):
        with pytest.raises((BadInput, Permanent)):
            wire.decode(data[:length])


@pytest.mark.parametrize("case", WHOLE)
def test_a_ruling_is_not_read_as_one_of_another_kind(case: str) -> None:
    kind, ruling = WHOLE[case]
    data = bytearray(wire.encode(ruling))

    for other in {wire.SETTINGS, wire.VERDICT, wire.MAINTENANCE} - {kind}:
        data[1] = other
        with pytest.raises((BadInput, Permanent)):
            wire.decode(bytes(data))


@given(
    st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=4),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=30),
)
def test_whatever_a_window_says_comes_back(
    match: dict[str, str], from_ns: int, reason: str
) -> None:
    window = make.maintenance(match=match, from_ns=from_ns, reason=reason)

    assert wire.decode(wire.encode(window)) == window


@given(st.text(max_size=40), st.none() | st.integers(0, 2**40), st.sampled_from(list(Word)))
def test_whatever_is_said_comes_back(text: str, expected: int | None, word: Word) -> None:
    for ruling in (make.settings(text, expected=expected), make.verdict(word, comment=text)):
        assert wire.decode(wire.encode(ruling)) == ruling


@pytest.mark.parametrize(
    ("ruling", "later"),
    [
        (make.settings("{}"), {"expected", "request_id", "changed", "version", "position"}),
        (make.verdict(), {"entity", "partition", "comment", "request_id", "position"}),
        (make.maintenance(), {"request_id", "position"}),
    ],
    ids=["settings", "verdict", "window"],
)
def test_a_ruling_of_an_older_release_lacks_what_came_later(
    ruling: Ruling, later: set[str]
) -> None:
    """Records lie in the log for long; a field with a default may be missing there."""
    told = msgspec.to_builtins(ruling)
    older = {name: value for name, value in told.items() if name not in later}

    found = msgspec.convert(older, type(ruling))

    for field in fields(ruling):
        if field.name not in later:
            assert getattr(found, field.name) == getattr(ruling, field.name)
    assert wire.decode(wire.encode(found)) == found


@pytest.mark.parametrize("word", ["", "REAL", "maybe", "not useful", None, 3])
def test_a_word_that_is_none_is_refused(word: Any) -> None:
    told = msgspec.to_builtins(make.verdict()) | {"word": word}

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(told, Verdict)


@pytest.mark.parametrize(
    ("expected", "in_force", "follows"),
    [(None, 0, True), (None, 9, True), (0, 0, True), (0, 1, False), (3, 3, True), (3, 2, False)],
)
def test_settings_follow_the_version_that_was_expected(
    expected: int | None, in_force: int, follows: bool
) -> None:
    assert make.settings(expected=expected).follows(in_force) is follows


@pytest.mark.parametrize(
    ("series", "labels", "subject"),
    [
        ("ab" * 16, {"service": "shop"}, "ab" * 16),
        ("", {"service": "shop"}, "default,service=shop"),
        ("", {"symptom": "errors", "service": "shop"}, "default,service=shop,symptom=errors"),
        ("", {}, "default"),
    ],
    ids=["a series", "a service", "in the order of names", "a tenant"],
)
def test_a_subject_is_a_series_or_what_has_these_labels(
    series: str, labels: dict[str, str], subject: str
) -> None:
    assert subject_of(DEFAULT_TENANT, series, labels) == subject


# On the way into the store.


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found: Store = plugins.build("store", {"use": "memory"}, data_dir=tmp_path)
    return found


async def told(store: Store, *rulings: Ruling) -> list[AuditEntry]:
    """The trail behind them, the oldest first; positions are those they came at."""
    deliveries = [Delivery(MIXED, 5 + n, one) for n, one in enumerate(rulings)]
    await ChangeStage(store, Decisions(store, FakeClock())).handle(deliveries)
    found = await store.list(AuditEntry, Filter(INSTALLATION))
    return list(reversed(found.items))


SET = make.settings("{}")
FIRST = make.verdict(Word.REAL)
WINDOW = make.maintenance()

TRAILS: dict[str, tuple[list[Ruling], list[str], dict[str, str], dict[str, str]]] = {
    "set": (
        [make.settings("{}", changed="a: 1 -> 2")],
        ["detection.set"], {"version": "0"}, {"version": "1", "changed": "a: 1 -> 2"},
    ),
    "set without a word": ([SET], ["detection.set"], {"version": "0"}, {"version": "1"}),
    "set twice": (
        [SET, make.settings('{"a": 1}', action="detection.restore")],
        ["detection.set", "detection.restore"], {"version": "1"}, {"version": "2"},
    ),
    "set too late": (
        [SET, make.settings('{"a": 1}', expected=0)],
        ["detection.set"], {"version": "0"}, {"version": "1"},
    ),
    "set in turn": (
        [make.settings("{}", expected=0), make.settings('{"a": 1}', expected=1)],
        ["detection.set", "detection.set"], {"version": "1"}, {"version": "2"},
    ),
    "a verdict": ([FIRST], ["verdict.give"], {}, {"verdict": "real"}),
    "a verdict with a reason": (
        [make.verdict(Word.EXPECTED, comment="a test")],
        ["verdict.give"], {}, {"verdict": "expected", "comment": "a test"},
    ),
    "another mind": (
        [FIRST, make.verdict(Word.NOT_USEFUL)],
        ["verdict.give", "verdict.give"], {"verdict": "real"}, {"verdict": "not_useful"},
    ),
    "taken back": (
        [FIRST, make.verdict(Word.WITHDRAWN)],
        ["verdict.give", "verdict.withdraw"], {"verdict": "real"}, {},
    ),
    "taken back and said again": (
        [FIRST, make.verdict(Word.WITHDRAWN), FIRST],
        ["verdict.give", "verdict.withdraw", "verdict.give"], {}, {"verdict": "real"},
    ),
    "two minds": (
        [FIRST, make.verdict(Word.EXPECTED, principal="user:else")],
        ["verdict.give", "verdict.give"], {}, {"verdict": "expected"},
    ),
    "a window": (
        [WINDOW], ["maintenance.add"], {},
        {"match": "service=checkout", "from_ns": str(WINDOW.from_ns),
         "until_ns": str(WINDOW.to_ns), "reason": WINDOW.reason},
    ),
    "a window that ends early": (
        [WINDOW, replace(WINDOW, to_ns=WINDOW.from_ns + 7)],
        ["maintenance.add", "maintenance.end"], {"until_ns": str(WINDOW.to_ns)},
        {"until_ns": str(WINDOW.from_ns + 7)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TRAILS)
async def test_the_trail_says_what_became_of_what(case: str, store: Store) -> None:
    rulings, actions, before, after = TRAILS[case]

    trail = await told(store, *rulings)

    assert [one.act.action for one in trail] == actions
    last = trail[-1].act
    assert (dict(last.before), dict(last.after)) == (before, after)


@pytest.mark.parametrize("case", TRAILS)
async def test_what_is_told_again_after_a_restart_changes_nothing(case: str, store: Store) -> None:
    rulings = TRAILS[case][0]
    once = await told(store, *rulings)

    assert await told(store, *rulings) == once


@pytest.mark.parametrize(
    ("ruling", "target", "tenant"),
    [
        (SET, "detection", INSTALLATION),
        (WINDOW, "maintenance:m1", DEFAULT_TENANT),
        (FIRST, f"anomaly:{FIRST.anomaly}", DEFAULT_TENANT),
    ],
    ids=["settings", "window", "verdict"],
)
async def test_the_trail_names_who_decided_of_what_for_whom(
    ruling: Ruling, target: str, tenant: str, store: Store
) -> None:
    asked = replace(ruling, principal="key:ci", request_id="r9")

    act = (await told(store, asked))[-1].act

    assert (act.principal, act.request_id) == ("key:ci", "r9")
    assert (act.target, act.tenant) == (target, tenant)


async def test_windows_of_two_tenants_with_one_id_are_two(store: Store) -> None:
    other = replace(WINDOW, tenant="other", to_ns=WINDOW.to_ns + 1)

    await told(store, WINDOW, other)

    found = [await store.get(Maintenance, one, "m1") for one in (DEFAULT_TENANT, "other")]
    assert [one.to_ns for one in found if one] == [WINDOW.to_ns, other.to_ns]


@settings(max_examples=25)
@given(st.lists(st.none() | st.integers(0, 4), min_size=1, max_size=6))
def test_versions_are_counted_by_what_took_effect(expected: list[int | None]) -> None:
    """As anybody would count them who reads the log."""

    async def stored() -> int:
        store: Store = plugins.build("store", {"use": "memory"}, data_dir=Path("none"))
        rulings = [make.settings(f"{{{n}}}", expected=one) for n, one in enumerate(expected)]
        await told(store, *rulings)
        newest = await newest_settings(store)
        return 0 if newest is None else newest.version

    version = 0
    for one in expected:
        version += one is None or one == version

    assert asyncio.run(stored()) == version
