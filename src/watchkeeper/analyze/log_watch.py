"""The lines of all services, watched service by service; see `log_service.py` for what is found.

A state machine over log batches, changes and ticks, each given once and in the order of the log,
beside the templates: what a line is called is asked of them. It knows of no service that they do
not know, and so of no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import xxhash

from watchkeeper.analyze.log_episodes import Episodes
from watchkeeper.analyze.log_rates import LogRates
from watchkeeper.analyze.log_service import MINUTE_NS, ServiceLog
from watchkeeper.analyze.log_state import ServiceState
from watchkeeper.analyze.log_watch_config import LogWatchConfig
from watchkeeper.analyze.template_runs import Runs
from watchkeeper.analyze.templates import Templates
from watchkeeper.analyze.watchers.base import Sighting
from watchkeeper.model.change import Change
from watchkeeper.model.series import U64, Entity, TenantId
from watchkeeper.model.signal import LogBatch

_Key = tuple[TenantId, str]
_P0: Final = np.uint64(0xA0761D6478BD642F)
_P1: Final = np.uint64(0xE7037ED1A0B428DB)
_HALF: Final = np.uint64(32)
VERSION: Final = 2


class Kept(msgspec.Struct, array_like=True):
    """One service in a checkpoint."""

    tenant: str
    service: str
    entity: tuple[str, str, str, str]
    state: ServiceState


_decoder = msgspec.msgpack.Decoder(list[Kept])


class LogWatch:
    """Knows what is usual in each service's lines."""

    def __init__(
        self,
        config: LogWatchConfig,
        templates: Templates,
        partition_of: Callable[[TenantId, str], int],
    ) -> None:
        self._file = config
        self._configs: dict[int, LogWatchConfig] = {}
        self._templates = templates
        self._partition_of = partition_of
        self._rates = LogRates(config.templates)
        self._services: dict[int, dict[_Key, tuple[Entity, ServiceLog]]] = {}

    def take(
        self, batch: LogBatch, runs: Runs, is_new: Callable[[int], bool] = lambda _: True
    ) -> None:
        """Lines of the partitions of which this batch is new, after the templates took them."""
        if not len(batch):
            return
        sessions: _Sessions | None = None
        for number, service in enumerate(runs.services):
            partition = self._partition_of(batch.tenant, service)
            config = self._configs.get(partition, self._file)
            if not config.enabled or not is_new(partition):
                continue
            one = self._service(partition, (batch.tenant, service), batch)
            if one is None:
                continue
            if one.now_ns:
                _count(one, runs, number)
            if sessions is None:
                sessions = _Sessions(batch, runs, config.session_keys)
            if len(sessions):
                one.sessions.take(sessions.of(number), one.now_ns)

    def configure(self, partition: int, config: LogWatchConfig) -> None:
        """Go on by other settings."""
        self._configs[partition] = config
        for _, one in self._services.get(partition, {}).values():
            one.configure(config)

    def change(self, change: Change, is_new: Callable[[int], bool] = lambda _: True) -> None:
        """Somebody changed a service."""
        service = change.entity.service or change.service
        partition = self._partition_of(change.tenant, service)
        known = self._services.get(partition, {}).get((change.tenant, service))
        if known is not None and is_new(partition):
            known[1].change()

    def tick(
        self,
        now_ns: int,
        compared: Sequence[_Key],
        is_new: Callable[[int], bool] = lambda _: True,
    ) -> list[tuple[str, Sighting]]:
        """What changed up to now, by detector; `compared` are those whose templates were compared
        at this tick."""
        said: list[tuple[str, Sighting]] = []
        due = set(compared)
        for partition, services in self._services.items():
            if not is_new(partition):
                continue
            for key in list(services):
                groups = self._templates.groups(partition, key)
                one = services[key][1]
                if groups is None:
                    one.leave()
                    one.episodes.leave(now_ns)
                    del services[key]
                else:
                    one.tick(now_ns, groups, is_compared=key in due)
                said += one.episodes.said
                one.episodes.said.clear()
        return said

    def dump(self, partition: int) -> bytes:
        kept = [
            Kept(*key, (entity.service, entity.environment, entity.node, entity.owner), one.dump())
            for key, (entity, one) in self._services.get(partition, {}).items()
        ]
        return msgspec.msgpack.encode((VERSION, kept))

    def load(self, partition: int, state: bytes) -> None:
        """Instead of what is known of the partition; b"" forgets it."""
        for _, one in self._services.pop(partition, {}).values():
            one.leave()
        if not state:
            return
        version, rest = msgspec.msgpack.decode(state, type=tuple[int, msgspec.Raw])
        if version != VERSION:
            return
        for kept in _decoder.decode(rest):
            key = TenantId(kept.tenant), kept.service
            self._begin(partition, key, Entity(*kept.entity)).load(kept.state)

    def _service(self, partition: int, key: _Key, batch: LogBatch) -> ServiceLog | None:
        known = self._services.get(partition, {}).get(key)
        if known is not None:
            return known[1]
        if self._templates.groups(partition, key) is None:
            return None
        entity = next(one.entity for one in batch.origins if one.entity.service == key[1])
        whole = Entity(entity.service, entity.environment, "", entity.owner)
        return self._begin(partition, key, whole)

    def _begin(self, partition: int, key: _Key, entity: Entity) -> ServiceLog:
        config = self._configs.get(partition, self._file)
        episodes = Episodes(key[0], entity, hours_per_week=config.evidence_hours_per_week)
        one = ServiceLog(config, self._rates, episodes, key[1])
        self._services.setdefault(partition, {})[key] = entity, one
        return one


def _count(one: ServiceLog, runs: Runs, number: int) -> None:
    """Lines of a service, by their minutes: nearly always all of a run are of one. Where not, its
    errors are those of its last."""
    for run in runs.of(number):
        if run.n_errors:
            one.count_errors(run.last_ns // MINUTE_NS, run.n_errors)
        first, last = run.first_ns // MINUTE_NS, run.last_ns // MINUTE_NS
        if first == last:
            one.count(run.fingerprint, run.severity, first, run.n_lines)
            continue
        minutes, n_lines = np.unique(
            runs.times(run.begin, run.end) // MINUTE_NS, return_counts=True
        )
        for minute, n in zip(minutes.tolist(), n_lines.tolist(), strict=True):
            one.count(run.fingerprint, run.severity, minute, n)


class _Sessions:
    """Lines of a batch that belong to sessions, as runs of one service, session and fingerprint."""

    def __init__(self, batch: LogBatch, runs: Runs, keys: Sequence[str]) -> None:
        key = _hashes(batch.trace)
        if keys:
            _name(key, batch, keys)
        rows = np.flatnonzero(key)
        service, key, fingerprint = runs.service_of_row[rows], key[rows], batch.template[rows]
        order = np.lexsort((fingerprint, key, service))
        service, key, fingerprint = service[order], key[order], fingerprint[order]
        differs = (
            (service[1:] != service[:-1])
            | (key[1:] != key[:-1])
            | (fingerprint[1:] != fingerprint[:-1])
        )
        begins = np.flatnonzero(np.r_[np.full(min(len(rows), 1), True), differs])
        self._service = service[begins]
        self._trace = batch.trace[rows[order[begins]]]
        self._columns = key[begins], fingerprint[begins], np.diff(np.r_[begins, len(rows)])
        self._first = rows[order[begins]]

    def __len__(self) -> int:
        return len(self._service)

    def of(self, service: int) -> Iterator[tuple[int, int, int, tuple[int, int]]]:
        """By their first rows, so that it does not matter which lines came together."""
        here = np.arange(*np.searchsorted(self._service, [service, service + 1]))
        here = here[np.argsort(self._first[here])]
        key, fingerprint, n_lines = (column[here].tolist() for column in self._columns)
        for one in zip(key, fingerprint, n_lines, self._trace[here].tolist(), strict=True):
            yield one[0], one[1], one[2], (one[3][0], one[3][1])


def _hashes(trace: U64) -> U64:
    """Of trace ids; 0 for none."""
    mixed: U64 = (trace[:, 0] * _P0 ^ trace[:, 1]) * _P1
    return mixed ^ (mixed >> _HALF)


def _name(key: U64, batch: LogBatch, names: Sequence[str]) -> None:
    """Sessions by attributes, for lines that have one of these."""
    sizes = np.diff(batch.attributes.offset)
    for row in np.flatnonzero(sizes > 0).tolist():
        attributes: Mapping[str, Any] = msgspec.json.decode(batch.attributes[row])
        value = next((attributes[name] for name in names if name in attributes), None)
        if value is not None:
            key[row] = xxhash.xxh3_64_intdigest(str(value).encode()) or 1
