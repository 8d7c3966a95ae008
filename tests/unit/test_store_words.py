"""What a record can be found and counted by lies in one text."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import make
from tests.handling import handling, memory
from watchkeeper.clock import FakeClock
from watchkeeper.errors import BadInput
from watchkeeper.know.incidents_stage import IncidentKeeping
from watchkeeper.model.audit import AuditEntry
from watchkeeper.model.handling import IncidentHead, Verb
from watchkeeper.model.principal import INSTALLATION
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.store.base import Filter
from watchkeeper.store.words import count, wanted, words

WORDS = words({"service": ("bank", "web"), "assignee": ("",)}, "The Bank Fails")


def all_of(**where: str) -> list[str]:
    return wanted(Filter(DEFAULT_TENANT, where=where))


@pytest.mark.parametrize(
    ("where", "is_there"),
    [
        ({"service": "bank"}, True),
        ({"service": "ban"}, False),
        ({"service": "ank"}, False),
        ({"rule": "bank"}, False),
        ({"service": "web"}, True),
    ],
)
def test_a_word_is_found_whole_under_its_name(where: dict[str, str], is_there: bool) -> None:
    (word,) = all_of(**where)

    assert (word in WORDS) is is_there


def test_the_text_is_found_in_any_case() -> None:
    (text,) = wanted(Filter(DEFAULT_TENANT, text="BANK fails"))

    assert text in WORDS


def test_an_empty_word_is_none() -> None:
    found = count([WORDS], 10)

    assert found.counts == {"service": {"bank": 1, "web": 1}}


def test_a_name_that_nothing_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="'size'; there are status, urgency, service, rule"):
        all_of(size="9")


def test_what_has_no_words_counts_as_a_record() -> None:
    found = count(["", WORDS], 10)

    assert found.n == 2


async def test_what_changes_nothing_has_no_entry_in_the_trail(tmp_path: Path) -> None:
    store = memory(tmp_path)
    keeping = IncidentKeeping(store, FakeClock(make.START_NS))
    given: list[IncidentHead | None] = []

    await keeping.decide(
        handling("INC-1-1", Verb.CLOSE),
        lambda head: given.append(head) or (),  # type: ignore[func-returns-value]
    )

    assert given == [None]
    assert list((await store.list(AuditEntry, Filter(INSTALLATION))).items) == []
