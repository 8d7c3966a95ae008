"""`watchkeeper users`: the people who may come in, with a password."""

from __future__ import annotations

import argparse
import getpass
import sys

from watchkeeper.api.gateway.roster import By, Roster
from watchkeeper.api.gateway.told import user_to_json
from watchkeeper.cli import state
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Column, Output
from watchkeeper.clock import SystemClock
from watchkeeper.errors import ConfigError
from watchkeeper.model.principal import Role, User
from watchkeeper.model.series import TenantId
from watchkeeper.telemetry import Secret


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = state.add_verbs(parser, {
        "create": "Let a person in; the password is asked for, or read from standard input.",
        "list": "List users, newest first.",
        "disable": "Let a person in no more; running servers follow within auth.cache_s.",
        "password": "Set another password; it is asked for, or read from standard input.",
    })  # fmt: skip
    for name in ("create", "disable", "password"):
        verbs[name].add_argument("name", help="the user's name")
    verbs["create"].add_argument(
        "--role", choices=[role.value for role in Role], required=True, help="what they may do"
    )
    verbs["create"].add_argument(
        "--tenant",
        action="append",
        metavar="NAME",
        help="a tenant that they may enter; may be repeated (default: all)",
    )


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    if given.verb == "list":
        return _list(given, output)
    return {"create": _create, "disable": _disable, "password": _password}[given.verb](
        given, output
    )


def _create(given: argparse.Namespace, output: Output) -> int:
    password, tenants = _asked(), tuple(TenantId(name) for name in given.tenant or ("*",))
    by = By(state.console())
    user = state.with_store(
        given,
        lambda store: Roster(store, SystemClock()).create_user(
            given.name, password, Role(given.role), tenants, by
        ),
    )
    return _told(user, f"{user.name} may come in as {user.role}", output)


def _list(given: argparse.Namespace, output: Output) -> int:
    by = By(state.console())
    users = state.with_store(given, lambda store: Roster(store, SystemClock()).users(by))
    if output.as_json:
        output.json({"items": [user_to_json(user) for user in users]})
        return Exit.OK
    columns = [Column("name"), Column("role"), Column("tenants", may_shrink=True),
               Column("state"), Column("created")]  # fmt: skip
    rows = [
        [user.name, user.role.value, ", ".join(user.tenants),
         "active" if user.disabled_ns is None else "disabled",
         user_to_json(user)["created_at"][:19].replace("T", " ")]
        for user in users
    ]  # fmt: skip
    output.table(columns, rows)
    return Exit.OK


def _disable(given: argparse.Namespace, output: Output) -> int:
    by = By(state.console())
    user = state.with_store(
        given, lambda store: Roster(store, SystemClock()).disable_user(given.name, by)
    )
    return _told(user, f"{user.name} may come in no more", output)


def _password(given: argparse.Namespace, output: Output) -> int:
    password, by = _asked(), By(state.console())
    user = state.with_store(
        given, lambda store: Roster(store, SystemClock()).set_password(given.name, password, by)
    )
    return _told(user, f"{user.name} has another password", output)


def _told(user: User, sentence: str, output: Output) -> int:
    if output.as_json:
        output.json(user_to_json(user))
    else:
        output.print(sentence)
    return Exit.OK


def _asked() -> Secret:
    """Typed twice by a person, or the first line of standard input; never an argument, which others
    on the machine could see."""
    if not sys.stdin.isatty():
        return Secret(sys.stdin.readline().rstrip("\r\n"))
    first = Secret(getpass.getpass("password: "))
    if getpass.getpass("again: ") != first.reveal():
        raise ConfigError("password: the two are not the same; nothing was changed")
    return first
