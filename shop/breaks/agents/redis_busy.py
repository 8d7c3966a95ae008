"""Keeps Redis from answering: paused, or busy with a script that takes long."""

from __future__ import annotations

import time

import redis

from shop import directory
from shop.breaks.agent import May
from shop.stores import REDIS

SCRIPT = """
local began = redis.call('TIME')
local busy = tonumber(ARGV[1])
repeat
    local now = redis.call('TIME')
until (now[1] - began[1]) * 1000000 + now[2] - began[2] > busy
"""
"""`DEBUG SLEEP` is refused by servers from version 7 on."""


def run(may: May, *, script: bool, on_s: float, off_s: float) -> None:
    """For so long at a time, with so long between."""
    at = directory.read(may.home).stores[REDIS]
    client = redis.Redis(at.host, at.port, socket_timeout=30.0)
    is_first = True
    while may:
        if script:
            client.eval(SCRIPT, 0, str(round(on_s * 1e6)))
        else:
            client.client_pause(round(on_s * 1e3))
        if is_first:
            may.ready()
            is_first = False
        time.sleep(off_s if script else on_s + off_s)
