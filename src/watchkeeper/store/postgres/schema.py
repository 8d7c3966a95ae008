"""Brings a database's schema up to date, whoever else is starting at the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from watchkeeper import telemetry
from watchkeeper.errors import ConfigError
from watchkeeper.store.postgres.queries import migrations, query
from watchkeeper.store.sql import Migration

_log: Final = telemetry.Log(__name__)

MIN_VERSION: Final = 140_000
_ENOUGH: Final = {
    "fsync": ("off", "may lose what it was given when the machine crashes; set fsync = on"),
    "synchronous_commit": (
        "off",
        "answers before it has kept what it was given; run "
        "ALTER ROLE ... SET synchronous_commit = on",
    ),
}
"""Setting -> the value that will not do, and why."""
SETTINGS: Final = (*_ENOUGH, "server_encoding")


def unfit(version: int, settings: Mapping[str, str], *, durable: bool) -> list[str]:
    """Why a server cannot be used; empty if it can."""
    found = []
    if version < MIN_VERSION:
        found.append(
            f"is version {version // 10_000}; install PostgreSQL {MIN_VERSION // 10_000} or newer"
        )
    encoding = settings.get("server_encoding")
    if encoding != "UTF8":
        found.append(
            f"keeps text as {encoding}; make the database with "
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )
    if durable:
        found += [
            f"has {name} '{value}' and {why}, or store.durable to false"
            for name, (value, why) in _ENOUGH.items()
            if settings.get(name) == value
        ]
    return found


def due(
    applied: Mapping[int, str], known: Sequence[Migration], *, finish: bool
) -> Sequence[Migration]:
    """Which migrations to apply now: up to the first `post`, or all if `finish` or all is new.

    `applied` is number -> moment of those in the database.
    """
    newest = known[-1].number
    barred = [number for number, moment in applied.items() if number > newest and moment == "post"]
    if barred:
        raise ConfigError(
            f"has schema {max(barred)}, this release knows {newest}; "
            "run the newer release, or restore the backup made before it"
        )
    left = [migration for migration in known if migration.number not in applied]
    if finish or not applied:
        return left
    n_now = next((n for n, one in enumerate(left) if one.when == "post"), len(left))
    if any(one.when == "pre" for one in left[n_now:]):
        raise ConfigError(
            f"was never brought past schema {left[n_now].number}, which the release before it "
            "cannot run beside; stop all processes of older releases, then start one with "
            "store.finish_upgrade true"
        )
    return left[:n_now]


def migrate(
    connection: psycopg.Connection[Any],
    schema: str,
    *,
    finish: bool,
    known: Sequence[Migration] | None = None,
) -> None:
    """Apply what is due, all of it or nothing. Where nothing is, no right to change is needed.

    `known`: what this release has, if not what lies in its folder.
    """
    known = migrations() if known is None else known
    found = connection.execute(query("find_schema"), {"schema": schema}).fetchone() or (False,) * 3
    is_there, may_create, is_ours = found
    if is_ours and not due(_applied(connection), known, finish=finish):
        _tell(schema, _applied(connection), known)
        return
    if not is_there and not may_create:
        raise ConfigError(
            f"has no schema '{schema}', and this user may not make one; run "
            f"CREATE SCHEMA {schema} AUTHORIZATION <user>"
        )
    with connection.transaction():
        connection.execute(query("await_migrations"), {"schema": schema})
        connection.execute(
            sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema))
            if not is_there
            else b"SELECT"
        )
        connection.execute(query("create_migrations"))
        for one in due(_applied(connection), known, finish=finish):
            connection.execute(one.script.encode())
            values = {"number": one.number, "moment": one.when, "name": one.name}
            connection.execute(query("note_migration"), values)
    _tell(schema, _applied(connection), known)


def _applied(connection: psycopg.Connection[Any]) -> dict[int, str]:
    return dict(connection.execute(query("applied_migrations")).fetchall())


def _tell(schema: str, applied: Mapping[int, str], known: Sequence[Migration]) -> None:
    """What an operator would like to know of a database that we can run on."""
    waiting = [one.number for one in known if one.number not in applied]
    if waiting:
        _log.info("store.finish_upgrade is due when all processes run this release",
                  schema=schema, waiting=waiting[0])  # fmt: skip
    if max(applied) > known[-1].number:
        _log.info("the database's schema is of a newer release that we can run beside",
                  schema=schema, found=max(applied), known=known[-1].number)  # fmt: skip
