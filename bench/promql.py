"""The same samples in a real Prometheus and in us: how many questions have one answer.

The questions are in promql.txt, a line each. Beside one may stand how it is to be asked: `instant:`
of moments only, `sorted:` where the order of the answer counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import native_histograms, peers, prometheus_pair
from bench.peers import Server
from bench.prometheus_pair import LENGTH_MS, Pair
from bench.report import progress

START_MS: Final = 1_760_000_003_217
"""Always the same, and so are the answers."""
SETTINGS: Final = {
    "lake": {"head_rows": 20_000, "raw_retention_s": 1e9, "rollup_retention_s": 1e9},
    "ingest": {"admit": {"oldest_s": 1e9}},
}
MOMENTS: Final = (0.31, 0.77)
"""In shares of the samples' time."""
RANGES: Final = (
    # start and length in shares of the samples' time, step in seconds
    (-0.02, 1.05, 113),
    (0.4, 0.1, 7.5),
    (0.1, 0.8, 1800),
)
_LIST: Final = Path(__file__).with_name("promql.txt")
_MARKS: Final = ("sorted", "instant")


@dataclass(frozen=True, slots=True)
class Question:
    """An expression, and how it is to be asked."""

    text: str
    mark: str = ""

    def at(self, start_ms: int) -> str:
        """With the time of the first sample in the place of START."""
        return self.text.replace("START", str(start_ms / 1000))


def questions() -> list[Question]:
    lines = _LIST.read_text("utf-8").splitlines()
    return [_question(line) for line in lines if line and not line.startswith("#")]


def _question(line: str) -> Question:
    mark, found, text = line.partition(": ")
    return Question(text, mark) if found and mark in _MARKS else Question(line)


@contextmanager
def pair(folder: Path) -> Iterator[Pair]:
    """Both servers, with the same samples."""
    with ExitStack() as stack:
        recipes = (
            prometheus_pair.prometheus(folder / "prometheus"),
            peers.watchkeeper(folder / "watchkeeper", SETTINGS),
        )
        servers = [
            stack.enter_context(Server(recipe, folder / recipe.name, core=None))
            for recipe in recipes
        ]
        theirs, ours = (server.wait_ready() for server in servers)
        series = prometheus_pair.fleet(START_MS)
        histograms = native_histograms.fleet(START_MS, LENGTH_MS)
        for server in (theirs, ours):
            prometheus_pair.write(server.port, "/api/v1/write", series, histograms)
        yield Pair(theirs, ours, START_MS)


def moment(one: Pair, share: float) -> float:
    return round((one.start_ms + share * LENGTH_MS) / 1000, 3)


def differences(one: Pair, question: Question, n_times: int | None = None) -> list[str]:
    """Of moments and of ranges, all or some; empty where the answers are the same."""
    query = question.at(one.start_ms)
    moments, ranges = MOMENTS[:n_times], RANGES[:n_times]
    found = [
        one.differences(
            "/query", is_ordered=question.mark == "sorted", query=query, time=moment(one, share)
        )
        for share in moments
    ]
    for start, length, step in ranges if question.mark != "instant" else ():
        edges = moment(one, start), moment(one, start + length)
        found.append(one.range_differences(query, *edges, step))
    return [told for told in found if told]


def share_equal(folder: Path) -> float:
    """Of all questions, those whose every answer is the same; what differs is told."""
    asked = questions()
    progress(f"{len(asked)} questions of PromQL to Prometheus and to us")
    n_equal = 0
    with pair(folder) as one:
        for question in asked:
            told = differences(one, question)
            n_equal += not told
            for difference in told:
                progress(f"promql: {difference[:500]}")
    return n_equal / len(asked)
