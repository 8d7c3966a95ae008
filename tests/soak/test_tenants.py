"""Ten thousand questions of two tenants; the scenario of the same name asks fewer."""

from __future__ import annotations

from pathlib import Path

from tests.scenario.test_gateway import ask_at_random


async def test_of_ten_thousand_questions_none_is_answered_with_anothers_data(
    tmp_path: Path,
) -> None:
    told = await ask_at_random(tmp_path, n=10_000)

    assert told.foreign == set()
    assert told.n_refused > 1_000
    assert len(told.own) >= 8
