"""A database that is locked, has no connections left, is slow, or cannot be reached."""

from __future__ import annotations

from shop.breaks.families.network import lacks_store, proxied
from shop.breaks.fault import Fault, between
from shop.breaks.hands import Hands
from shop.stores import POSTGRES

INDEX = "payments_of"
BLOAT = 120_000
COPIES = (8, 24)
_REMOVE = "DELETE FROM payments WHERE cents = -1"
_MAKE = f"CREATE INDEX IF NOT EXISTS {INDEX} ON payments (customer, at_s)"


def _lock(hands: Hands, intensity: float) -> None:
    hands.agent("locker", table="stock", on_s=between(1.5, 4.5, intensity), off_s=0.2)


def _exhaust(hands: Hands, _: float) -> None:
    hands.agent("hoarder")


def _drop_index(hands: Hands, intensity: float) -> None:
    """With more rows beside it: those of so small a shop are found quickly even one by one."""
    copies = round(between(*COPIES, intensity))
    hands.later("sql", statements=[_REMOVE, _MAKE])
    more = f"INSERT INTO payments SELECT 0, -1, 0.0 FROM payments LIMIT {BLOAT}"
    hands.sql([f"DROP INDEX IF EXISTS {INDEX}", *[more] * copies])


FAULTS = (
    Fault(
        name="database-lock",
        says="somebody holds the lock of the table that inventory needs",
        services=("inventory", POSTGRES),
        kind="lock",
        start=_lock,
        feel_s=15.0,
    ),
    Fault(
        name="connections-exhausted",
        says="somebody takes every connection that PostgreSQL has to give",
        services=(POSTGRES,),
        kind="pool",
        start=_exhaust,
        lacks=lacks_store(POSTGRES),
        feel_s=15.0,
    ),
    Fault(
        name="index-dropped",
        says="the index by which payment finds a customer's payments is gone",
        services=("payment", POSTGRES),
        kind="index",
        start=_drop_index,
        feel_s=15.0,
    ),
    Fault(
        name="database-far",
        says="the way from inventory to PostgreSQL is long",
        services=(POSTGRES, "inventory"),
        kind="network_latency",
        start=proxied(POSTGRES, "inventory", delay_ms=(100, 500), jitter_ms=(20, 100)),
        lacks=lacks_store(POSTGRES),
    ),
)
