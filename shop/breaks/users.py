"""What users see of a shop, and whether it is worse than it was."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec

PATIENCE_S = 3.0
"""Whoever waits longer has given up."""
N_USUAL = 12
N_LOOKS = 24
N_BAD = 4
"""Of the last N_LOOKS answers: so many cannot be chance where one in fifty is bad."""
AT_ONCE = 4
PAUSE_S, CALM_PAUSE_S = 0.5, 4.0
"""Between a few and the next, so that those who look are no rush themselves; where nothing is
broken they are fewer than the buyers."""
PLAIN_S = 0.1
"""What comes so much later is felt, however quick it was."""


class Errand(NamedTuple):
    """What a user asks of the shop. `{n}` becomes a number."""

    method: str
    path: str


CHECKOUT = Errand("POST", "/checkout/{n}")
LOOK = Errand("GET", "/inventory/{n}")
CART = Errand("GET", "/cart/{n}")


class Saw(NamedTuple):
    is_error: bool
    seconds: float


class Usual(msgspec.Struct, frozen=True):
    """How an errand goes when nothing is broken."""

    n_errors: int = 0
    slowest_s: float = 0.0


def ask(url: str, errand: Errand, n: int) -> Saw:
    """Once. Only the shop's own failures are errors: an item that is sold out is none."""
    request = urllib.request.Request(
        url + errand.path.format(n=n % 50), method=errand.method, headers={"connection": "close"}
    )
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            response.read()
            is_error = False
    except urllib.error.HTTPError as error:
        with error:
            is_error = error.code >= 500
    except OSError:
        is_error = True
    return Saw(is_error, time.perf_counter() - began)


def cents(url: str, n: int) -> int | None:
    """What a purchase came to, as its buyer is told; None where there was none."""
    asked = urllib.request.Request(
        url + CHECKOUT.path.format(n=n % 50), method="POST", headers={"connection": "close"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as response:
            return int(json.load(response)["cents"])
    except (OSError, ValueError, KeyError):
        return None


def are_charged_wrongly(url: str, right: int, for_s: float) -> bool:
    """Whether so many buyers are within that time, of those who are told that they have paid."""
    until = time.monotonic() + for_s
    n_wrong = n = 0
    while n_wrong < N_BAD and (n < N_LOOKS or time.monotonic() < until):
        n_wrong += cents(url, n) not in (None, right)
        n += 1
    return n_wrong >= N_BAD


def usual(url: str, errand: Errand) -> Usual:
    seen = list(_looks(url, errand, N_USUAL))
    return Usual(sum(saw.is_error for saw in seen), max(saw.seconds for saw in seen))


def is_bad(saw: Saw, before: Usual) -> bool:
    """An error, or much slower than anybody waited before."""
    return saw.is_error or saw.seconds > before.slowest_s + max(before.slowest_s, PLAIN_S)


def is_felt(seen: Sequence[Saw], before: Usual) -> bool:
    """Whether so many of those answers are bad that it is no chance. Errors that were usual are
    no sign of anything."""
    n_usual = before.n_errors * len(seen) // N_USUAL
    return sum(is_bad(saw, before) for saw in seen) - n_usual >= N_BAD


def feel(url: str, errand: Errand, before: Usual, for_s: float, *, pause_s: float = 0.0) -> bool:
    """Whether users feel it within that time. Asks N_LOOKS times, and no longer than it must."""
    return any(is_felt(last, before) for last in _windows(url, errand, for_s, pause_s))


def still_feel(
    url: str, errand: Errand, before: Usual, for_s: float, *, pause_s: float = 0.0
) -> bool:
    """Whether users feel it at the end of that time: what passes is nothing."""
    *_, last = _windows(url, errand, for_s, pause_s)
    return is_felt(last, before)


def _windows(url: str, errand: Errand, for_s: float, pause_s: float) -> Iterator[Sequence[Saw]]:
    """The last N_LOOKS answers, after each of them."""
    until = time.monotonic() + for_s
    last: deque[Saw] = deque(maxlen=N_LOOKS)
    while True:
        for saw in _looks(url, errand, N_LOOKS, pause_s):
            last.append(saw)
            yield last
        if time.monotonic() > until:
            return


def _looks(url: str, errand: Errand, n: int, pause_s: float = 0.0) -> Iterator[Saw]:
    """A few at once; who has seen enough leaves the rest unasked."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for first in range(0, n, AT_ONCE):
            if first:
                time.sleep(pause_s)
            numbers = range(first, min(first + AT_ONCE, n))
            yield from pool.map(lambda k: ask(url, errand, k), numbers)
