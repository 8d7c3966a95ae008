"""Log lines to templates, beside Drain3 as installed, on one core: the same lines, in turns.

Ours is the hot path as the product runs it: texts in columns, in batches, to fingerprints, which
are looked up, counted and compared on ticks of a minute; then each line's template is told. Drain3
is given line by line and tells the cluster of each. Three kinds of lines:

- *known*: statements that both have met, with other values; nearly always that is all there is
- *cold*: the first lines of a day's worth of statements, by a state that knows nothing
- *new*: every line a statement of its own, which no program prints

The bench makes its lines, or takes those of a folder with Parquet files that have a column
`content`: its first lines are cold, and all of them again are known.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from drain3 import TemplateMiner
from drain3.template_miner_config import TemplateMinerConfig

from bench.peers import Unmeasurable
from bench.report import print_table, progress
from bench.suite import Measured, Options
from watchkeeper.analyze.template_groups import TemplatesConfig
from watchkeeper.analyze.template_runs import Runs
from watchkeeper.analyze.templates import Templates
from watchkeeper.model.row import Origin, Texts, texts
from watchkeeper.model.series import DEFAULT_TENANT, Entity
from watchkeeper.model.signal import LogBatch
from watchkeeper.model.template import fingerprints

TARGETS: Final[Mapping[str, tuple[str, float]]] = {
    "ratio_drain3": (">=", 5.0),
    "lines_per_s": (">=", 120_000.0),
}
BATCH: Final = 2_000
S: Final = 1_000_000_000
START_NS: Final = 1_767_571_200 * S
_SERVICE: Final = "shop"
_TEXT: Final = """
request session order cart user worker queue topic partition offset block replica leader election
token cache key shard index table row commit rollback lock timeout retry backoff connection socket
handshake certificate upload download chunk checksum mirror snapshot restore opened closed started
stopped accepted rejected expired failed finished scheduled moved created deleted updated merged
split renewed revoked
"""
_WORDS: Final = tuple(_TEXT.split())
_VALUES: Final[tuple[Callable[[Any], str], ...]] = (
    lambda chance: str(chance.integers(1, 1 << 20)),
    lambda chance: f"10.{chance.integers(256)}.{chance.integers(256)}.{chance.integers(1, 255)}",
    lambda chance: f"{chance.integers(1 << 62):016x}",
    lambda chance: f"{chance.random() * 900:.2f}ms",
    lambda chance: f"/var/lib/{chance.integers(99)}/part-{chance.integers(9999):04d}",
)


class Ours:
    """The product's, from texts in columns to a template a line."""

    def __init__(self) -> None:
        self._templates = Templates(TemplatesConfig(), lambda _tenant, _service: 0)
        self._now_ns = START_NS

    def take(self, columns: Sequence[Texts]) -> list[Any]:
        """The templates of all lines, and a tick behind them."""
        told = []
        for content in columns:
            batch = _batch(content, self._now_ns)
            runs = Runs(batch)
            self._templates.take_runs(batch, runs, lambda _: True)
            told.append(batch.template)
        self._now_ns += 60 * S
        self._templates.tick(self._now_ns)
        every, at = np.unique(np.concatenate(told), return_inverse=True)
        named = [
            self._templates.template_of(DEFAULT_TENANT, _SERVICE, one) for one in every.tolist()
        ]
        templates: list[Any] = np.array(named, np.uint64)[at].tolist()
        return templates

    def known(self) -> list[str]:
        """Texts of all templates."""
        return [one.text for one in self._templates.templates(DEFAULT_TENANT)]


class Drain3:
    """As installed: no masks, nothing kept on disk."""

    def __init__(self) -> None:
        self._miner = TemplateMiner(config=TemplateMinerConfig())

    def take(self, lines: Sequence[str]) -> list[Any]:
        """The clusters of all lines."""
        add = self._miner.add_log_message
        return [add(line)["cluster_id"] for line in lines]


def run(options: Options) -> Measured:
    n_lines, n_rounds = (4_000, 1) if options.quick else (20_000, 5)
    given = kinds(options, n_lines)
    cost: dict[tuple[str, str], list[float]] = {}
    for number in range(n_rounds):
        progress(f"round {number + 1} of {n_rounds}")
        for name, one in _turns(given):
            cost.setdefault(name, []).append(one)
    speed = {name: statistics.median(per_s) for name, per_s in cost.items()}
    rows = []
    for kind in ("known", "cold", "new"):
        if ("ours", kind) in speed:
            ours, drain3 = speed["ours", kind], speed["drain3", kind]
            rows.append((kind, f"{ours:,.0f}", f"{drain3:,.0f}", f"{ours / drain3:.1f}"))
    print_table(("lines", "ours / s", "Drain3 / s", "ratio"), rows)
    figures = {
        "ratio_drain3": speed["ours", "known"] / speed["drain3", "known"],
        "ratio_drain3_cold": speed["ours", "cold"] / speed["drain3", "cold"],
        "lines_per_s": speed["ours", "known"],
        "lines_per_s_cold": speed["ours", "cold"],
        "drain3_lines_per_s": speed["drain3", "known"],
    }
    if ("ours", "new") in speed:
        figures["ratio_drain3_new"] = speed["ours", "new"] / speed["drain3", "new"]
        figures["lines_per_s_new"] = speed["ours", "new"]
    return figures, [f"medians of {n_rounds} turns each; CPU time of one thread, collector off"]


def _turns(kinds: Mapping[str, list[str]]) -> list[tuple[tuple[str, str], float]]:
    """Lines a second of one round: each contender begins anew, and they take turns."""
    found = []
    columns = {
        name: [texts(one.encode() for one in part) for part in _parts(lines)]
        for name, lines in kinds.items()
    }
    ours, drain3 = Ours(), Drain3()
    for kind in ("cold", "known"):
        found.append((("ours", kind), _per_s(ours.take, columns[kind], kinds[kind])))
        found.append((("drain3", kind), _per_s(drain3.take, kinds[kind], kinds[kind])))
    if "new" in kinds:
        found.append((("ours", "new"), _per_s(Ours().take, columns["new"], kinds["new"])))
        found.append((("drain3", "new"), _per_s(Drain3().take, kinds["new"], kinds["new"])))
    return found


def _per_s(take: Callable[[Any], list[Any]], given: Any, lines: list[str]) -> float:
    gc.collect()
    gc.disable()
    began = time.thread_time()
    told = take(given)
    took_s = time.thread_time() - began
    gc.enable()
    if len(told) != len(lines):
        raise Unmeasurable(f"{len(lines)} lines, and {len(told)} were told a template")
    return len(lines) / took_s


def kinds(options: Options, n_lines: int) -> dict[str, list[str]]:
    """Lines by kind."""
    Ours().take([texts([b"warm up 7"])])  # compiles
    if options.data is not None:
        lines = _read(options.data)
        return {"cold": lines, "known": lines}
    chance = np.random.default_rng(options.seed)
    statements = [_statement(chance) for _ in range(min(1_000, n_lines // 4))]
    share = 1.0 / np.arange(1, len(statements) + 1)
    of_line = chance.choice(len(statements), 2 * n_lines, p=share / share.sum())
    of_line[chance.choice(n_lines, len(statements), replace=False)] = range(len(statements))
    made = [_filled(statements[one], chance) for one in of_line]
    new = [_strange(number) for number in range(n_lines // 4)]
    return {"cold": made[:n_lines], "known": made[n_lines:], "new": new}


def _statement(chance: Any) -> list[str | int]:
    """Words, and places of values by their kind."""
    n_words = int(chance.integers(4, 12))
    parts: list[str | int] = [str(one) for one in chance.choice(_WORDS, 2)]
    for _ in range(n_words - 2):
        if chance.random() < 0.3:
            parts.append(int(chance.integers(len(_VALUES))))
        else:
            parts.append(str(chance.choice(_WORDS)))
    return parts


def _filled(statement: Sequence[str | int], chance: Any) -> str:
    return " ".join(part if isinstance(part, str) else _VALUES[part](chance) for part in statement)


def _strange(number: int) -> str:
    """Five words of letters that no other line has together."""
    letters = [chr(ord("a") + number // 26**place % 26) for place in range(4)]
    one, other = "".join(letters), "".join(reversed(letters))
    return f"{one} {other} said x{other}{one} to y{one}"


def _batch(content: Texts, time_ns: int) -> LogBatch:
    n = len(content)
    return LogBatch(
        origins=(Origin((), Entity(_SERVICE)),),
        origin=np.zeros(n, np.int32),
        time_ns=np.full(n, time_ns, np.int64),
        severity=np.zeros(n, np.uint8),
        trace=np.zeros((n, 2), np.uint64),
        span=np.zeros(n, np.uint64),
        template=fingerprints(content),
        body=content,
        attributes=texts([b""] * n),
    )


def _parts(lines: list[str]) -> list[list[str]]:
    return [lines[begin : begin + BATCH] for begin in range(0, len(lines), BATCH)]


def _read(folder: Path) -> list[str]:
    files = [
        one for one in sorted(folder.glob("*.parquet")) if "content" in pq.read_schema(one).names
    ]
    if not files:
        raise Unmeasurable(f"no Parquet file in {folder} has a column 'content'")
    tables = (pq.read_table(one, columns=["content"]) for one in files)
    return list(itertools.chain.from_iterable(one.column(0).to_pylist() for one in tables))
