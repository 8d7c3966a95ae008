"""`watchkeeper keys`: the keys of programs, made and revoked on the machine of the installation."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from watchkeeper.api.gateway.roster import By, Roster, Wanted
from watchkeeper.api.gateway.told import key_to_json
from watchkeeper.cli import state
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Column, Output
from watchkeeper.clock import NS_PER_S, SystemClock
from watchkeeper.config.units import parse
from watchkeeper.errors import ConfigError
from watchkeeper.model.principal import NARROW, ApiKey, Limits, Role, Scope
from watchkeeper.model.series import TenantId


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = state.add_verbs(parser, {
        "create": "Make a key, and show it this once.",
        "list": "List keys, newest first.",
        "revoke": "Refuse a key from now on; running servers follow within auth.cache_s.",
    })  # fmt: skip
    create = verbs["create"]
    create.add_argument("name", help="what it is for, such as collector")
    what = create.add_mutually_exclusive_group(required=True)
    what.add_argument("--role", choices=[role.value for role in Role], help="what it may do")
    what.add_argument(
        "--scope",
        action="append",
        choices=sorted(NARROW),
        help="one narrow thing that it may do; may be repeated",
    )
    create.add_argument(
        "--tenant",
        action="append",
        metavar="NAME",
        help="a tenant that it may enter; may be repeated, the first is meant where a request "
        "names none (default: all, and server.default_tenant)",
    )
    create.add_argument("--expires", metavar="IN", help="not valid after 12h, 30d ...")
    create.add_argument("--requests-per-s", type=float, metavar="N", help="limit of requests")
    create.add_argument("--bytes-per-s", type=float, metavar="N", help="limit of bodies, as sent")
    verbs["revoke"].add_argument("id", help="as `keys list` shows it")


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    return {"create": _create, "list": _list, "revoke": _revoke}[given.verb](given, output)


def _create(given: argparse.Namespace, output: Output) -> int:
    clock = SystemClock()
    wanted = Wanted(
        name=given.name,
        role=Role(given.role) if given.role else None,
        scopes=frozenset(Scope(scope) for scope in given.scope or ()),
        tenants=tuple(TenantId(name) for name in given.tenant or ("*",)),
        limits=Limits(given.requests_per_s, given.bytes_per_s),
        expires_ns=_expires(given.expires, clock.now_ns()),
    )
    by = By(state.console())
    key, text = state.with_store(given, lambda store: Roster(store, clock).create_key(wanted, by))
    if output.as_json:
        output.json({**key_to_json(key), "key": text.reveal()})
    else:
        output.say(f"key {key.id}; it is shown this once, so keep it now:")
        print(text.reveal())
    return Exit.OK


def _list(given: argparse.Namespace, output: Output) -> int:
    keys = state.with_store(
        given, lambda store: Roster(store, SystemClock()).keys(By(state.console()))
    )
    if output.as_json:
        output.json({"items": [key_to_json(key) for key in keys]})
        return Exit.OK
    columns = [
        Column("id"), Column("name", may_shrink=True), Column("may", may_shrink=True),
        Column("tenants", may_shrink=True), Column("state"), Column("created"), Column("used"),
    ]  # fmt: skip
    output.table(columns, [_row(key_to_json(key), _state(key)) for key in keys])
    return Exit.OK


def _revoke(given: argparse.Namespace, output: Output) -> int:
    by = By(state.console())
    key = state.with_store(
        given, lambda store: Roster(store, SystemClock()).revoke_key(given.id, by)
    )
    if output.as_json:
        output.json(key_to_json(key))
    else:
        output.print(f"key {key.id} ({key.name}) is revoked")
    return Exit.OK


def _row(told: dict[str, Any], is_now: str) -> list[str]:
    may = told["role"] or ", ".join(told["scopes"])
    moments = [_moment(told["created_at"]), _moment(told["used_at"])]
    return [told["id"], told["name"], may, ", ".join(told["tenants"]), is_now, *moments]


def _moment(iso: str | None) -> str:
    return "never" if iso is None else iso[:19].replace("T", " ")


def _state(key: ApiKey) -> str:
    if key.revoked_ns is not None:
        return "revoked"
    if key.expires_ns is None:
        return "active"
    if key.expires_ns <= SystemClock().now_ns():
        return "expired"
    return f"until {datetime.fromtimestamp(key.expires_ns // NS_PER_S, UTC):%Y-%m-%d %H:%M}"


def _expires(text: str | None, now_ns: int) -> int | None:
    if text is None:
        return None
    seconds = parse(text, "s")
    if seconds is None or seconds <= 0:
        raise ConfigError(f"--expires: '{text}' is no duration; write 12h, 30d or 52w")
    return now_ns + round(seconds * NS_PER_S)
