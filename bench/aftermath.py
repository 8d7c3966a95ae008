"""What is there after a fight, and whether it is what peace would have left."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench import client, fleet, readback
from bench.fleet import F64, I64
from bench.peers import Server
from watchkeeper.analyze import detect_state
from watchkeeper.bus.base import SAMPLES
from watchkeeper.bus.checkpoints import CheckpointFiles
from watchkeeper.ingest.enrich import Enrich, EnrichConfig
from watchkeeper.ingest.own_traces_stage import SERVICE
from watchkeeper.lake.files import Files
from watchkeeper.lake.log_segment import LogSegment
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.store.installation import installation_key

MOVABLE = frozenset(
    {"position", "severity", "info_reason", "confidence", "evidence", "explanation"}
)
"""Of an anomaly: where in the log it changed, and what watchers may say of it on a tick. The log of
a killed server is cut differently, and its ticks come at other times between the samples."""
OF_SAMPLES = frozenset({"T1", "T2"})
"""Tiers whose findings follow from samples alone; watchers decide on ticks."""


@dataclass(frozen=True, slots=True)
class Found:
    """Samples that should be there and are not, and samples that are there once more."""

    lost: int
    duplicated: int

    def __add__(self, other: Found) -> Found:
        return Found(self.lost + other.lost, self.duplicated + other.duplicated)


def compare_pod(server: Server, first: int, times: I64, values: F64) -> Found:
    """The series of one pod, (n, k) times and values as they were sent, against what is read."""
    pod = fleet.place(first).pod
    lost, duplicated = times.size, 0
    for one in readback.ours(
        server, readback.selector({"pod": pod}), int(times.min()), int(times.max())
    ):
        row = _row_of(one["labels"])
        if row is None:
            duplicated += len(one["points"])
            continue
        there = readback.columns(one["points"])
        missed, extra = compare_series((times[row], values[row]), there)
        lost += missed - len(times[row])
        duplicated += extra
    return Found(lost, duplicated)


def compare_series(sent: readback.Points, there: readback.Points) -> tuple[int, int]:
    """(samples sent that are not there with their value, samples there beyond those)."""
    times, first = np.unique(there[0], return_index=True)
    at = np.searchsorted(times, sent[0])
    inside = at < len(times)
    right = np.zeros(len(sent[0]), bool)
    right[inside] = (times[at[inside]] == sent[0][inside]) & (
        there[1][first[at[inside]]] == sent[1][inside]
    )
    n_right = int(right.sum())
    return len(sent[0]) - n_right, len(there[0]) - n_right


def _row_of(labels: Mapping[str, str]) -> int | None:
    """Which series of its pod; None for a stranger."""
    try:
        metric = fleet.METRICS.index(labels["__name__"])
        container = fleet.CONTAINERS.index(labels["container"])
    except (KeyError, ValueError):
        return None
    return container * len(fleet.METRICS) + metric


def anomalies(server: Server) -> dict[str, Mapping[str, Any]]:
    """Those that follow from samples alone, by id, without what may differ."""
    found: dict[str, Mapping[str, Any]] = {}
    cursor: str | None = ""
    while cursor is not None:
        asked = {"limit": "1000", **({"cursor": cursor} if cursor else {})}
        page = json.loads(client.get(server.port, "/api/v1/anomalies", asked))
        for item in page["items"]:
            if item["tier"] in OF_SAMPLES:
                found[item["id"]] = {name: item[name] for name in item.keys() - MOVABLE}
        cursor = page["cursor"]
    return found


def states(data_dir: Path) -> dict[bytes, bytes]:
    """The detectors' state of every series that was sent, by identity, as the last checkpoints hold
    it. What follows from the server's own slow requests is another each time."""
    found: dict[bytes, bytes] = {}
    kept = CheckpointFiles(data_dir / "checkpoints", Files()).read(SAMPLES, "detect")
    for one in kept.values():
        found |= _rows(one.checkpoint.state)
    with closing(
        Catalog(installation_key(data_dir), CatalogConfig(), Enrich(EnrichConfig()))
    ) as catalog:
        catalog.open(data_dir / "catalog", 0)
        names = np.frombuffer(b"".join(found), np.uint64).reshape(-1, 2)
        slots = catalog.lookup(names)
        known = slots >= 0
        labels = catalog.labels(slots[known])
    own = [names[row].tobytes() for row in np.flatnonzero(known)]
    for name, of in zip(own, labels, strict=True):
        if of.get("service") == SERVICE:
            del found[name]
    return found


def _rows(state: bytes) -> dict[bytes, bytes]:
    """A checkpoint of detection, taken apart: identity -> its rows of all arrays, in order."""
    kept = detect_state.decode(state)
    rows = {identity.tobytes(): b"" for identity in kept.identity}
    versions = {name: version for name, (version, _) in kept.detectors.items()}
    for _, arrays in sorted(kept.states(versions).items()):
        for _, array in sorted(arrays.items()):
            for index, identity in enumerate(rows):
                rows[identity] += array[index].tobytes()
    return rows


def stored_rows(data_dir: Path) -> int:
    """Samples in the lake's files as they are, before reading settles what is there twice."""
    kept = (data_dir / "lake").rglob("manifest.json")
    manifests = [msgspec.json.decode(path.read_bytes()) for path in kept]
    return sum(
        segment["n_rows"]
        for manifest in manifests
        for segment in manifest["segments"]
        if segment.get("has_raw", True)
    )


def scribble(data_dir: Path, chance: random.Random) -> None:
    """Rubbish behind the last synced group of the log: a write that never came to its end."""
    segments = [found for path in data_dir.rglob("*.log") if (found := LogSegment.found(path))]
    if not segments:
        return
    newest = max(segments, key=lambda segment: segment.serial)
    _, end, _ = newest.end(lambda segment, damage, content: None)
    with newest.path.open("r+b") as file:
        file.seek(end)
        file.write(chance.randbytes(chance.randint(1, 20_000)))


def differences(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> int:
    """Keys that only one of them has, or whose values differ."""
    return sum(one.get(key) != other.get(key) for key in one.keys() | other.keys())
