"""How settings differ, in which words, and what becomes of those that are wanted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from watchkeeper import plugins
from watchkeeper.clock import FakeClock
from watchkeeper.errors import BadInput, Retryable
from watchkeeper.know.decisions_stage import Decisions
from watchkeeper.know.settings_stage import By, Settings, differences, source, told
from watchkeeper.model.ruling import DetectionSet
from watchkeeper.model.series import Series, SeriesId, TenantId
from watchkeeper.model.signal import Logged
from watchkeeper.store.base import Store

OPS = By("user:ops", "request-1")


@dataclass
class Log:
    """A log whose records come into the store at once, late, or never."""

    store: Store
    is_read: bool = True
    is_there: bool = True
    faster: list[DetectionSet] = field(default_factory=list)
    """What others set in the moment before."""
    came: list[DetectionSet] = field(default_factory=list)
    file: str = '{"detectors": [], "sensitivity": "normal"}'

    async def log(self, record: Logged) -> int:
        if not self.is_there:
            raise Retryable("log: is full")
        assert isinstance(record, DetectionSet)
        decisions = Decisions(self.store, FakeClock())
        for one in [*self.faster, record]:
            self.came.append(one)
            if self.is_read:
                await decisions.settle(replace(one, position=len(self.came)))
        return len(self.came)

    async def caught_up(self, position: int) -> bool:
        return self.is_read

    def partition_of(self, tenant: TenantId, service: str) -> int:
        return 0

    def series(self, identity: SeriesId) -> Series | None:
        return None

    def read(self, body: bytes, media: str) -> str:
        return body.decode()


@pytest.fixture
def log() -> Log:
    store: Store = plugins.build("store", {"use": "memory"})
    return Log(store)


def settings_of(log: Log) -> Settings:
    return Settings(log.store, FakeClock(), log)


LOW = '{"detectors": [], "sensitivity": "low"}'
HIGH = '{"detectors": [], "sensitivity": "high"}'


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ({}, {}, ""),
        ({"a": 1}, {"a": 1}, ""),
        ({"a": 1}, {"a": 2}, "a: 1 -> 2"),
        ({"a": 1}, {}, "a: 1 -> nothing"),
        ({}, {"a": 1}, "a: nothing -> 1"),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, "a.c: 2 -> 3"),
        ({"a": {"b": 1}}, {"a": 7}, 'a: {"b": 1} -> 7'),
        ({"a": [1, 2]}, {"a": [2, 1]}, "a: [1, 2] -> [2, 1]"),
        ({"a": "ü"}, {"a": "\u20ac"}, 'a: "ü" -> "€"'),
        ({"a": True}, {"a": False}, "a: true -> false"),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, "a: 1 -> 2; b: 1 -> 2"),
        ({"a": None}, {"a": 1}, "a: nothing -> 1"),
    ],
    ids=str,
)
def test_documents_differ_setting_by_setting(
    before: dict[str, Any], after: dict[str, Any], says: str
) -> None:
    assert told(differences(json.dumps(before), json.dumps(after))) == says


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("xyz", max_size=1), inner),
    max_leaves=6,
)
_DOCUMENTS = st.dictionaries(st.sampled_from("abc"), _VALUES)


@given(_DOCUMENTS, _DOCUMENTS)
def test_what_differs_one_way_differs_the_other_way_round(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    there = differences(json.dumps(one), json.dumps(other))
    back = differences(json.dumps(other), json.dumps(one))

    assert [(each.path, each.after, each.before) for each in back] == [
        (each.path, each.before, each.after) for each in there
    ]
    assert differences(json.dumps(one), json.dumps(one)) == []
    assert bool(there) == (one != other)


def test_a_long_difference_is_cut_for_the_trail() -> None:
    before, after = ({f"k{n}": "x" * 50 for n in range(99)}, {})

    text = told(differences(json.dumps(before), json.dumps(after)))

    assert len(text) == 2000
    assert text.endswith(" ...")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (None, "what the configuration file says"),
        (make.settings("", version=4), "the configuration file's, by version 4"),
        (make.settings(LOW, version=2), "equal to the configuration file's"),
        (make.settings(HIGH, version=2), "says otherwise of sensitivity, and does not count"),
    ],
)
def test_a_sentence_says_whose_settings_are_in_force(
    settings: DetectionSet | None, says: str
) -> None:
    assert says in source(settings, LOW)


def test_of_many_differences_to_the_file_a_few_are_named() -> None:
    many = json.dumps({f"s{n}": n for n in range(9)})

    said = source(make.settings(many, version=1), "{}")

    assert "otherwise of s0, s1, s2, s3, s4, and does not count" in said


async def test_settings_that_are_read_later_are_not_said_to_be_in_force(log: Log) -> None:
    log.is_read = False

    found = await settings_of(log).set(LOW, OPS, expected=None)

    assert (found.version, found.position) == (0, 0)
    assert (await settings_of(log).current()).version == 0


async def test_a_log_that_takes_nothing_changes_nothing(log: Log) -> None:
    log.is_there = False

    with pytest.raises(Retryable, match="is full"):
        await settings_of(log).set(LOW, OPS, expected=None)

    assert (await settings_of(log).current()).document == ""


async def test_somebody_who_was_faster_between_reading_and_writing_wins(log: Log) -> None:
    """When it was asked nothing was set yet; in the log another stood before it."""
    log.faster = [make.settings(HIGH, id="theirs", principal="user:ann")]

    with pytest.raises(BadInput, match="version 0 is not in force, 1 is, set by user:ann") as told:
        await settings_of(log).set(LOW, OPS, expected=0)

    assert told.value.status == 412
    assert (await settings_of(log).current()).document == HIGH


async def test_who_expects_nothing_follows_whoever_was_faster(log: Log) -> None:
    log.faster = [make.settings(HIGH, id="theirs", principal="user:ann")]

    found = await settings_of(log).set(LOW, OPS, expected=None)

    assert (found.version, found.principal, found.document) == (2, "user:ops", LOW)


@pytest.mark.parametrize("expected", [None, 0])
async def test_what_is_in_force_already_is_not_set_again(log: Log, expected: int | None) -> None:
    found = await settings_of(log).set("", OPS, expected=expected)

    assert found.version == 0
    assert log.came == []


@pytest.mark.parametrize("limit", [1, 2, 3, 9])
async def test_versions_are_told_newest_first_and_the_files_last(log: Log, limit: int) -> None:
    stage = settings_of(log)
    for document in (LOW, HIGH):
        await stage.set(document, OPS, expected=None)

    assert [one.version for one in await stage.versions(limit)] == [2, 1, 0][:limit]


@pytest.mark.parametrize(
    ("expected", "is_refused"), [(None, False), (1, False), (0, True), (2, True)]
)
async def test_what_is_expected_is_compared_with_what_is_in_force(
    log: Log, expected: int | None, is_refused: bool
) -> None:
    stage = settings_of(log)
    await stage.set(LOW, OPS, expected=None)

    refused = ""
    try:
        await stage.expect(expected)
    except BadInput as error:
        refused = str(error)

    assert bool(refused) is is_refused
    assert ("1 is, set by user:ops" in refused) is is_refused
