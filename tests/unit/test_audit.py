"""The audit trail: a chain that shows every change, and changes that are never without an entry."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from watchkeeper import plugins
from watchkeeper.clock import FakeClock
from watchkeeper.errors import Retryable
from watchkeeper.know.audit import Verifier, sealed
from watchkeeper.know.audit_stage import Audit, Decided
from watchkeeper.model.audit import AuditEntry
from watchkeeper.model.principal import INSTALLATION, ApiKey
from watchkeeper.store.base import Occupied, Page, Store


def trail(n: int) -> list[AuditEntry]:
    """Oldest first."""
    entries: list[AuditEntry] = []
    for number in range(n):
        newest = entries[-1] if entries else None
        entries.append(sealed(make.act(target=f"key:{number}"), number, newest))
    return entries


def faults(entries: Sequence[AuditEntry]) -> list[str]:
    """Of a trail, given oldest first."""
    verifier = Verifier()
    found = [fault for entry in reversed(entries) for fault in verifier.look(entry)]
    return found + list(verifier.finish())


@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_a_trail_as_it_was_sealed_is_whole(n: int) -> None:
    assert faults(trail(n)) == []


ACT_FIELDS = [field.name for field in fields(make.act())]


@given(at=st.integers(0, 9), name=st.sampled_from(ACT_FIELDS))
def test_any_field_of_an_act_that_was_changed_shows(at: int, name: str) -> None:
    entries = trail(10)
    other: Any = {"x": "y"} if name in ("before", "after") else "other"
    changed = replace(entries[at].act, **{name: other})

    entries[at] = replace(entries[at], act=changed)

    assert f"entry {at + 1} is not what was sealed: its hash is another" in faults(entries)


@given(at=st.integers(0, 8))
def test_an_entry_that_was_made_anew_shows_in_the_next(at: int) -> None:
    entries = trail(10)
    before = entries[at - 1] if at else None

    entries[at] = sealed(make.act(target="forged"), entries[at].time_ns, before)

    assert faults(entries) == [f"entry {at + 2} is not sealed onto entry {at + 1}"]


@given(at=st.integers(1, 8), n=st.integers(1, 3))
def test_entries_that_were_left_out_show(at: int, n: int) -> None:
    entries = trail(12)

    del entries[at : at + n]

    assert faults(entries) == [f"entries {at + 1} to {at + n} are missing"]


def test_a_beginning_that_was_cut_off_shows() -> None:
    assert faults(trail(5)[2:]) == ["entries 1 to 2 are missing"]


def test_a_time_that_was_changed_shows() -> None:
    entries = trail(3)

    entries[1] = replace(entries[1], time_ns=99)

    assert faults(entries) == ["entry 2 is not what was sealed: its hash is another"]


# Changes


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    built: Store = plugins.build("store", {"use": request.param}, data_dir=tmp_path)
    return built


async def whole(audit: Audit) -> list[AuditEntry]:
    """Oldest first, and whole."""
    entries = [entry async for entry in audit.backwards()][::-1]
    assert faults(entries) == []
    return entries


async def adding(identity: str) -> Decided[str]:
    return Decided(identity, [make.api_key(identity)], make.act(target=f"key:{identity}"))


async def test_changes_at_once_all_get_a_place_of_their_own(store: Store) -> None:
    audits = [Audit(store, FakeClock()) for _ in range(3)]

    await asyncio.gather(
        *(audits[n % 3].change(lambda n=n: adding(str(n))) for n in range(9))  # type: ignore[misc]
    )

    entries = await whole(audits[0])
    assert sorted(entry.act.target for entry in entries) == [f"key:{n}" for n in range(9)]
    await store.close()


async def test_whoever_was_overtaken_decides_anew_on_what_is_there_now(store: Store) -> None:
    audit = Audit(store, FakeClock())
    seen: list[bool] = []

    async def decide() -> Decided[None]:
        known = await store.get(ApiKey, INSTALLATION, "a")
        seen.append(known is not None)
        if len(seen) > 1:
            return Decided(None, [], make.act(target="second"))
        await audit.change(lambda: adding("a"))
        return Decided(None, [make.api_key("late")], make.act(target="first"))

    await audit.change(decide)

    assert seen == [False, True]
    assert await store.get(ApiKey, INSTALLATION, "late") is None
    assert [entry.act.target for entry in await whole(audit)] == ["key:a", "second"]
    await store.close()


async def test_where_nothing_changes_nothing_is_told(store: Store) -> None:
    audit = Audit(store, FakeClock())

    async def nothing() -> Decided[str]:
        return Decided("as it was")

    assert await audit.change(nothing) == "as it was"
    assert await whole(audit) == []
    await store.close()


async def test_whoever_is_overtaken_for_ever_gives_up_and_may_come_again() -> None:
    class Contested:
        """Somebody is always faster."""

        async def list(self, *_: object) -> Any:
            return Page((), None)

        async def save(self, *_: object) -> int:
            raise Occupied("taken")

    audit = Audit(Contested(), FakeClock())  # type: ignore[arg-type]  # as much of one as is used

    with pytest.raises(Retryable, match="nothing was changed"):
        await audit.change(lambda: adding("a"))


async def test_a_trail_of_several_pages_is_walked_whole(store: Store) -> None:
    entries = trail(2050)
    await store.save(entries)

    assert await whole(Audit(store, FakeClock())) == entries
    await store.close()
