"""What the shop keeps for good: what is left, who paid, and who its customers are.

Each table is of one service alone, which makes and fills it.
"""

from __future__ import annotations

import time

from shop.database import Database

ITEMS = 50
FULL = 1_000_000
CUSTOMERS = 1_000
PRICE_CENTS = 1_000
"""Of whatever is in a cart."""
HISTORY = 200_000
"""Payments of the time before the shop opened."""
LATELY_S = 30 * 86_400.0
AT_ONCE = 20_000
"""So many rows are filled by one statement, which has to end within its time."""
_COUNTED = "WITH RECURSIVE k(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM k WHERE n < %s - 1) "


class Stock:
    """How much is left of each item."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.change("CREATE TABLE IF NOT EXISTS stock (item INTEGER PRIMARY KEY, n INTEGER)")
        if not database.rows("SELECT item FROM stock LIMIT 1"):
            database.change(f"INSERT INTO stock {_COUNTED} SELECT n, %s FROM k", ITEMS, FULL)

    def left(self, item: int) -> int | None:
        found = self._database.rows("SELECT n FROM stock WHERE item = %s", item)
        return int(found[0][0]) if found else None

    def take(self, item: int) -> bool:
        """Whether there was one to take."""
        taken = "UPDATE stock SET n = n - 1 WHERE item = %s AND n > 0"
        return self._database.change(taken, item) == 1


class Payments:
    """Who paid how often; found by an index."""

    def __init__(self, database: Database, history: int = HISTORY) -> None:
        self._database = database
        database.change(
            "CREATE TABLE IF NOT EXISTS payments"
            " (customer INTEGER, cents INTEGER, at_s DOUBLE PRECISION)"
        )
        if not database.rows("SELECT customer FROM payments LIMIT 1"):
            whose = f"n - n / {CUSTOMERS} * {CUSTOMERS}"
            for begin in range(0, history, AT_ONCE):
                database.change(
                    f"INSERT INTO payments {_COUNTED} SELECT {whose}, {PRICE_CENTS}, 0.0 FROM k",
                    min(AT_ONCE, history - begin),
                )
        database.change("CREATE INDEX IF NOT EXISTS payments_of ON payments (customer, at_s)")

    def lately(self, customer: int) -> int:
        """How often somebody paid of late."""
        since_s = time.time() - LATELY_S
        ((n,),) = self._database.rows(
            "SELECT count(*) FROM payments WHERE customer = %s AND at_s > %s", customer, since_s
        )
        return int(n)

    def paid(self, customer: int, cents: int) -> None:
        row = customer, cents, time.time()
        self._database.change("INSERT INTO payments VALUES (%s, %s, %s)", *row)


class Customers:
    """Who has which plan."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.change(
            "CREATE TABLE IF NOT EXISTS customers (customer INTEGER PRIMARY KEY, plan TEXT)"
        )
        if not database.rows("SELECT customer FROM customers LIMIT 1"):
            plan = "CASE WHEN n - n / 10 * 10 = 0 THEN 'gold' ELSE 'free' END"
            database.change(f"INSERT INTO customers {_COUNTED} SELECT n, {plan} FROM k", CUSTOMERS)

    def plan(self, customer: int) -> str:
        found = self._database.rows("SELECT plan FROM customers WHERE customer = %s", customer)
        return str(found[0][0]) if found else "free"
