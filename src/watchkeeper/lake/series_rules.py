"""Label blocks brought into canonical form, by the catalog's settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from watchkeeper.compiled.columns import layout_of
from watchkeeper.compiled.hashing import siphash128
from watchkeeper.compiled.memory import READ_SLACK, padded
from watchkeeper.errors import BadInput
from watchkeeper.lake import series_canon_kernel as kernel
from watchkeeper.lake.series_config import CatalogConfig
from watchkeeper.model.series import I64, METRIC_NAME, U8, U64, Kind, LabelBlock, TenantId

KEY_BYTES: Final = 16
_METRIC_NAME: Final = METRIC_NAME.encode()


@dataclass(frozen=True, slots=True)
class Scope:
    """A tenant inside the catalog. Its keys follow from the installation's and its name."""

    number: int
    tenant: TenantId
    keys: U64
    """Of its identities and roles, two words each, and the seed of passing hashes."""
    salt: U64
    """Keeps the same key from two tenants apart."""
    partition_key: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Canon:
    """Rows of labels in canonical form, and what follows from them. Unsound rows are not filled."""

    labels: LabelBlock
    identity: U64
    role: U64
    relevant: U64
    """Hash of the labels that enrichment looks at."""
    kind: U8
    verdict: U8

    def block(self, rows: I64) -> LabelBlock:
        """The labels of some rows."""
        return LabelBlock(self.labels.buffer, self.labels.start[rows], self.labels.end[rows])

    def pairs(self, row: int) -> dict[str, str]:
        """The labels of one row."""
        return read_labels(self.labels, row)


class Rules:
    """Applies the settings to label blocks. For one thread: it keeps scratch arrays."""

    def __init__(self, config: CatalogConfig, key: bytes, relevant: Sequence[str]) -> None:
        self._words = _words(key)
        self.seed = derive(self._words, b"seed")[0]
        self._special = _special(config, relevant, self.seed)
        self._suffixes = _suffixes(config)
        self._limits = (
            config.max_labels,
            config.max_name_bytes,
            config.max_value_bytes,
            config.max_series_bytes,
        )
        self._spans = [np.empty(config.max_labels, np.int64) for _ in range(kernel.N_SPANS)]
        self._scratch = (
            layout_of(self._spans),
            np.empty(config.max_series_bytes + READ_SLACK, np.uint8),
        )

    def scope(self, number: int, tenant: TenantId) -> Scope:
        name = tenant.encode()
        identity, role, salt, partition = (
            derive(self._words, purpose + b"\0" + name)
            for purpose in (b"identity", b"role", b"alias", b"partition")
        )
        return Scope(
            number,
            tenant,
            np.array([*identity, *role, self.seed], np.uint64),
            np.array(salt, np.uint64),
            partition,
        )

    def canonicalise(self, scope: Scope, block: LabelBlock, kind: U8) -> Canon:
        """`kind` is the sender's word by row."""
        n = len(block)
        size = int((block.end - block.start).sum())
        text = np.empty(size + READ_SLACK, np.uint8)
        canon = Canon(
            LabelBlock(text, np.empty(n, np.int64), np.empty(n, np.int64)),
            np.empty((n, 2), np.uint64),
            np.empty(n, np.uint64),
            np.empty(n, np.uint64),
            kind.copy(),
            np.empty(n, np.uint8),
        )
        kernel.canonicalise(
            (block.buffer, block.start, block.end),
            scope.keys,
            self._special,
            self._suffixes,
            self._limits,
            self._scratch,
            (
                text, canon.labels.start, canon.labels.end, canon.identity, canon.role,
                canon.relevant, canon.kind, canon.verdict,
            ),
        )  # fmt: skip
        return canon


class Tenants:
    """Scopes by name and number. One thread adds, any may look."""

    def __init__(self, rules: Rules, most: int) -> None:
        self._rules = rules
        self._most = most
        self._scopes: dict[TenantId, Scope] = {}
        self.names: list[TenantId] = []

    def scope(self, tenant: TenantId) -> Scope:
        """Of a tenant that sends, known or not."""
        scope = self._scopes.get(tenant)
        if scope is None:
            if len(self.names) >= self._most:
                raise BadInput(
                    f"catalog: '{tenant}' would be tenant number {len(self.names) + 1}; "
                    f"{self._most} are allowed (catalog.max_tenants)",
                    status=403,
                )
            scope = self._rules.scope(len(self.names), tenant)
            self.names.append(tenant)
            self._scopes[tenant] = scope
        return scope

    def known(self, tenant: TenantId) -> Scope | None:
        return self._scopes.get(tenant)

    def scope_of(self, tenant: TenantId) -> Scope:
        """For a question about a tenant that may have no series, and needs no number."""
        return self._scopes.get(tenant) or self._rules.scope(0, tenant)


def derive(key: tuple[int, int], purpose: bytes) -> tuple[int, int]:
    """A key for one purpose; nothing about another one can be told from it."""
    low, high = siphash128(padded(purpose), 0, len(purpose), np.uint64(key[0]), np.uint64(key[1]))
    return int(low), int(high)


def read_labels(block: LabelBlock, row: int) -> dict[str, str]:
    """The labels of one canonical row."""
    run = block.buffer[block.start[row] : block.end[row]].tobytes()
    labels, at = {}, 0
    while at < len(run):
        at, _ = _size(run, at + 1)
        at, n = _size(run, at + 1)
        name = run[at : at + n].decode()
        at, m = _size(run, at + n + 1)
        labels[name] = run[at : at + m].decode()
        at += m
    return labels


def read_name(block: LabelBlock, row: int) -> str:
    """The metric's name of one canonical row: one label of its labels, and mostly the first."""
    run = block.buffer[block.start[row] : block.end[row]].tobytes()
    at, n = (0, 0) if not run else _size(run, _size(run, 1)[0] + 1)
    if run[at : at + n] != _METRIC_NAME:
        return read_labels(block, row).get(METRIC_NAME, "")
    at, n = _size(run, at + n + 1)
    return run[at : at + n].decode()


def _size(run: bytes, at: int) -> tuple[int, int]:
    """Where the number at `at` ends, and the number."""
    number = shift = 0
    while run[at] & 0x80:
        number |= (run[at] & 0x7F) << shift
        shift += 7
        at += 1
    return at + 1, number | run[at] << shift


def plain(block: LabelBlock) -> LabelBlock:
    """The block as kernels take it: a column that cannot be written to is another type to them."""
    columns: list[np.ndarray[Any, Any]] = [
        np.require(column, kind, ["C", "A", "W"])
        for column, kind in (
            (block.buffer, np.uint8),
            (block.start, np.int64),
            (block.end, np.int64),
        )
    ]
    return LabelBlock(*columns)


def _words(key: bytes) -> tuple[int, int]:
    if len(key) != KEY_BYTES:
        raise ValueError(f"catalog: the installation's key has {len(key)} bytes, not {KEY_BYTES}")
    return int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")


def _special(config: CatalogConfig, relevant: Sequence[str], seed: int) -> I64:
    flags: dict[bytes, int] = {METRIC_NAME.encode(): kernel.METRIC}
    for names, flag in (
        (config.instance_labels, kernel.INSTANCE),
        (config.replica_labels, kernel.REPLICA),
        (relevant, kernel.RELEVANT),
    ):
        for name in names:
            flags[name.encode()] = flags.get(name.encode(), 0) | flag
    text, start, end = _joined(list(flags))
    hashes = np.empty((len(flags), 2), np.int64)
    kernel.hash_names(text, start, end, np.uint64(seed), hashes)
    size = 1 << (4 * len(flags)).bit_length()
    table = np.zeros((size, 3), np.int64)
    for (low, high), flag in zip(hashes.tolist(), flags.values(), strict=True):
        at = low & (size - 1)
        while table[at, 2]:
            at = (at + 1) & (size - 1)
        table[at] = low, high, flag
    return table


def _suffixes(config: CatalogConfig) -> tuple[U8, I64]:
    kinds = [
        *((suffix, Kind.UNSCORED) for suffix in config.unscored_suffixes),
        *((suffix, Kind.COUNTER) for suffix in config.counter_suffixes),
        ("", Kind.GAUGE),
    ]
    text, start, end = _joined([suffix.encode() for suffix, _ in kinds])
    return text, np.stack([start, end, np.array([kind for _, kind in kinds], np.int64)], axis=1)


def _joined(runs: Sequence[bytes]) -> tuple[U8, I64, I64]:
    end = np.cumsum([len(run) for run in runs], dtype=np.int64)
    return padded(b"".join(runs)), end - np.array([len(run) for run in runs], np.int64), end
