"""`watchkeeper sources`: who sends, what was not taken of it, and a test event by any protocol."""

from __future__ import annotations

import argparse
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx
import msgspec

from watchkeeper.cli import connection, words
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Column, Output
from watchkeeper.cli.probe import METRIC, SERVICE, WAYS, Reads, Sent
from watchkeeper.clock import SystemClock
from watchkeeper.errors import Permanent
from watchkeeper.sdk import Client, Source
from watchkeeper.sdk.calls import Call

_PATIENCE_S: Final = 5.0
_AGAIN_S: Final = 0.1


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--test",
        metavar="PROTOCOL",
        choices=sorted(WAYS),
        help=f"send one test event and read it back: {', '.join(sorted(WAYS))}",
    )
    connection.arguments(parser)


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    with connection.connect(given) as client:
        if given.test is not None:
            return _test(given.test, client, output)
        return _list(client.sources(), output)


def _list(found: Sequence[Source], output: Output) -> int:
    if output.as_json:
        output.json({"items": found})
    elif found:
        output.table(_COLUMNS, [_row(source) for source in found])
    else:
        output.say(
            "nobody has sent anything since the server started; "
            "`watchkeeper sources --test remote_write` sends a test event"
        )
    return Exit.OK


_COLUMNS: Final = (
    Column("last seen (UTC)"),
    Column("protocol"),
    Column("sender", may_shrink=True),
    Column("bodies", is_number=True),
    Column("accepted", is_number=True),
    Column("refused", is_number=True),
    Column("put off", is_number=True),
    Column("left out", may_shrink=True),
    Column("last problem", may_shrink=True),
)


def _row(source: Source) -> list[str]:
    rejected = ", ".join(f"{reason} {words.number(n)}" for reason, n in source.rejected.items())
    return [
        words.moment(source.last_seen_at),
        source.protocol,
        source.sender,
        words.number(source.bodies),
        words.number(source.accepted),
        words.number(source.refused),
        words.number(source.put_off),
        rejected,
        source.last_problem,
    ]


def _test(protocol: str, client: Client, output: Output) -> int:
    """Send it, then look for it until it is there."""
    way, sent = WAYS[protocol], Sent(secrets.token_hex(16), SystemClock().now_ns())
    begun_s = time.monotonic()
    client.call(Call("POST", way.path, _nothing, content=way.body(sent), headers=dict(way.headers)))
    taken_s = time.monotonic() - begun_s
    while not _READ[way.reads](client, sent):
        if time.monotonic() - begun_s > _PATIENCE_S:
            raise Permanent(
                f"{protocol}: the server took the test event, and has not shown it within "
                f"{_PATIENCE_S:g} s; see `watchkeeper doctor` and /health"
            )
        time.sleep(_AGAIN_S)
    seen_s = time.monotonic() - begun_s
    if output.as_json:
        output.json({"protocol": protocol, "id": sent.id, "taken_s": taken_s, "read_s": seen_s})
    else:
        output.print(
            f"{protocol}: taken after {words.lasting(taken_s)}, "
            f"read back after {words.lasting(seen_s)} ({way.path}, event {sent.id})"
        )
    return Exit.OK


def _nothing(_: httpx.Response) -> None:
    """A success is all that there is to an answer here."""


def _json(client: Client, path: str, params: Mapping[str, str]) -> Any:
    def read(response: httpx.Response) -> Any:
        return msgspec.json.decode(response.content) if response.is_success else None

    return client.call(Call("GET", path, read, params, also=frozenset({404})))


def _sample(client: Client, sent: Sent) -> bool:
    return bool(client.query(f'{METRIC}{{event="{sent.id}"}}'))


def _line(client: Client, sent: Sent) -> bool:
    found = _json(client, "/api/v1/logs/search", {"text": sent.id, "limit": "1"})
    return bool(found and found["items"])


def _span(client: Client, sent: Sent) -> bool:
    return _json(client, f"/api/v1/traces/{sent.id}", {}) is not None


def _change(client: Client, sent: Sent) -> bool:
    found = _json(client, "/api/v1/changes", {"service": SERVICE})
    return any(change["version"] == sent.id for change in (found or {}).get("items", ()))


_READ: Final[Mapping[Reads, Callable[[Client, Sent], bool]]] = {
    "samples": _sample,
    "lines": _line,
    "spans": _span,
    "changes": _change,
}
