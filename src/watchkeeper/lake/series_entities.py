"""Entities as numbers: enrichment is asked once per combination of labels that it looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import numpy as np

from watchkeeper.compiled.hashing import siphash128
from watchkeeper.compiled.memory import padded, reserve
from watchkeeper.lake.series_rules import Scope
from watchkeeper.model.series import I32, N_PARTITIONS, U8, U64, Entity

NOBODY: Final = 0
"""The number of the empty entity."""
_COMBINATIONS: Final = 100_000
"""Remembered; beyond that enrichment is asked again."""

EntityRow = tuple[str, str, str, str]


class Enrich(Protocol):
    """Whom a series speaks of, by its labels; it looks at `relevant_labels` alone."""

    @property
    def relevant_labels(self) -> Sequence[str]: ...

    def __call__(self, labels: Mapping[str, str]) -> Entity: ...


class Entities:
    """Numbers of entities that series in memory have. For the catalog's own thread.

    Other threads may read the entity of a number; it stays while a series has it.
    """

    def __init__(self, enrich: Enrich, n_slots: int) -> None:
        self._enrich = enrich
        self._entities: list[Entity] = [Entity()]
        self._numbers: dict[Entity, int] = {Entity(): NOBODY}
        self._free: list[int] = []
        self._n_users = reserve(n_slots + 1, np.int32)
        self._n_users[NOBODY] = 1
        self._combinations: dict[tuple[int, int], tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def of(self, number: int) -> Entity:
        return self._entities[number]

    def decide(
        self, scope: Scope, relevant: U64, labels: Callable[[int], Mapping[str, str]]
    ) -> tuple[I32, U8]:
        """Entity and partition of every row; `labels` gives those of one row.

        Rows of equal `relevant` have equal labels, as far as enrichment sees.
        """
        distinct, first, place = np.unique(relevant, return_index=True, return_inverse=True)
        found = np.empty((len(distinct), 2), np.int32)
        for k, (combination, row) in enumerate(zip(distinct.tolist(), first.tolist(), strict=True)):
            key = (scope.number, combination)
            if key not in self._combinations:
                if len(self._combinations) >= _COMBINATIONS:
                    self._combinations.clear()
                entity = self._enrich(labels(row))
                self._combinations[key] = (self._number(entity), partition(scope, entity.service))
            found[k] = self._combinations[key]
        return found[place, 0], found[place, 1].astype(np.uint8)

    def adopt(self, rows: Sequence[EntityRow]) -> I32:
        """The numbers of a record's entities."""
        return np.array([self._number(Entity(*row)) for row in rows], np.int32)

    def rows(self, numbers: I32) -> tuple[I32, tuple[EntityRow, ...]]:
        """As a record has them: a row for every number, and the distinct entities."""
        distinct, place = np.unique(numbers, return_inverse=True)
        entities = [self._entities[number] for number in distinct.tolist()]
        return place.astype(np.int32), tuple(
            (one.service, one.environment, one.node, one.owner) for one in entities
        )

    def hold(self, numbers: I32) -> None:
        """So many more series have these."""
        distinct, count = np.unique(numbers, return_counts=True)
        self._n_users[distinct] += count.astype(np.int32)

    def release(self, numbers: I32) -> None:
        """So many series fewer have these. What nobody has is forgotten."""
        distinct, count = np.unique(numbers, return_counts=True)
        self._n_users[distinct] -= count.astype(np.int32)
        unused = distinct[self._n_users[distinct] == 0].tolist()
        for number in unused:
            del self._numbers[self._entities[number]]
            self._free.append(number)
        if unused:
            self._combinations.clear()

    def forget(self, numbers: I32) -> None:
        """These were decided, and then no series came to have them."""
        self.hold(numbers)
        self.release(numbers)

    def _number(self, entity: Entity) -> int:
        number = self._numbers.get(entity)
        if number is None:
            number = self._free.pop() if self._free else len(self._entities)
            self._entities[number : number + 1] = [entity]
            self._numbers[entity] = number
        return number


def partition(scope: Scope, service: str) -> int:
    """Where a service's series meet, equal in every process of the installation."""
    name = service.encode()
    low, high = scope.partition_key
    hashed, _ = siphash128(padded(name), 0, len(name), np.uint64(low), np.uint64(high))
    return int(hashed) % N_PARTITIONS
