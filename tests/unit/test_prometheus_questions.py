"""Whatever is asked of Prometheus' API, the answer is one of its own, and never a fault of ours."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.architecture.source import ROOT
from tests.grafana import Grafana, grafana

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIST = (ROOT / "bench/promql.txt").read_text("utf-8")
EXPRESSIONS = [line for line in LIST.splitlines() if line and not line.startswith("#")]
PATHS = [
    "/api/v1/query", "/api/v1/query_range", "/api/v1/series", "/api/v1/labels",
    "/api/v1/label/job/values", "/api/v1/label/x-y/values", "/api/v1/label/é/values",
    "/api/v1/metadata", "/api/v1/query_exemplars",
]  # fmt: skip
TIMES = [
    "", "0", "-1", "1e9", "1700000000.123", "9e9", "-9e9", "1e300", "NaN", "-Inf", "\x00",
    "2023-11-14T22:13:20Z", "2023-13-01", "0x10", "１２", "1_000", " 5 ", "9999-12-31T00:00:00Z",
    "0001-01-01T00:00:00Z", "2023-11-14T22:13:20+99:00",
]  # fmt: skip
LENGTHS = [
    "", "0", "1", "15s", "1m30s", "1e3", "-5", "1e-9", "0.0004", "NaN", "Inf", "1y", "9999999999y",
    "5x", "1e300", "１",
]  # fmt: skip
COUNTS = ["", "0", "1", "-1", "x", "9" * 20, "１"]
CHOICES = {"time": TIMES, "start": TIMES, "end": TIMES, "step": LENGTHS, "timeout": LENGTHS,
           "limit": COUNTS}  # fmt: skip
SIGNS = "()[]{}\"'@:,+-*e09.\x00\uffff¹ "


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def source(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Grafana]:
    async with grafana(tmp_path_factory.mktemp("grafana")) as found:
        yield found


def question(chance: random.Random) -> dict[str, str]:
    expression = chance.choice(EXPRESSIONS).rpartition(": ")[2].replace("START", "1700000000")
    if chance.random() < 0.4:  # a slip of the finger
        at = chance.randrange(len(expression))
        rest = expression[at + chance.randrange(3) :]
        expression = expression[:at] + chance.choice(SIGNS) + rest
    others = {
        name: chance.choice(texts) for name, texts in CHOICES.items() if chance.random() < 0.5
    }
    return {"query": expression, "match[]": chance.choice(EXPRESSIONS), **others}


@pytest.mark.parametrize("seed", range(4))
async def test_no_question_is_the_servers_fault(source: Grafana, seed: int) -> None:
    chance = random.Random(seed)
    faults = []

    for _ in range(60):
        path, asked = chance.choice(PATHS), question(chance)
        by_form = chance.random() < 0.5
        answer = await (source.post(path, **asked) if by_form else source.ask(path, **asked))
        told = answer.json() if answer.headers["content-type"] == "application/json" else {}
        is_known = told.get("status") in ("success", "error") or answer.status_code == 405
        if answer.status_code == 500 or not is_known:
            faults.append((answer.status_code, path, asked, answer.text))

    assert faults == []
