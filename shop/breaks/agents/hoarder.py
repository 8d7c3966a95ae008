"""Takes every connection that PostgreSQL has to give, also those that services had."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from shop import directory
from shop.breaks.agent import May
from shop.breaks.sql import connected
from shop.directory import Directory

LOOK_S = 0.05
OTHERS = (
    b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    b" WHERE backend_type = 'client backend' AND application_name <> 'shop.breaks'"
)
"""What a server does whose connections went to whoever came first."""


def run(may: May) -> None:
    shop = directory.read(may.home)
    hoard = [connected(shop)]
    is_first = True
    while may:
        hoard[0].execute(OTHERS)
        _take_all(shop, hoard)
        if is_first:
            may.ready()
            is_first = False
        time.sleep(LOOK_S)


def _take_all(shop: Directory, hoard: list[psycopg.Connection[Any]]) -> None:
    while True:
        try:
            hoard.append(connected(shop))
        except psycopg.OperationalError:
            return
