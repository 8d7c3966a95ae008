"""The state of this installation, opened by a command on its machine, whether a server runs or not.

Who may read and write the data folder decides who may use it: the folder is the root of all trust.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pwd
from collections.abc import Awaitable, Callable
from typing import TypeVar

from watchkeeper import cli
from watchkeeper.cli import config as config_command
from watchkeeper.cli.exits import MEANINGS
from watchkeeper.errors import ConfigError
from watchkeeper.model.principal import ALL_TENANTS, Principal, Scope
from watchkeeper.store.base import Store

T = TypeVar("T")


def add_verbs(
    parser: argparse.ArgumentParser, says: dict[str, str]
) -> dict[str, argparse.ArgumentParser]:
    """A parser for each verb, with the flags that name the installation."""
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    found = {}
    for name, text in says.items():
        verb = verbs.add_parser(
            name, help=text, description=text, epilog=MEANINGS, allow_abbrev=False
        )
        cli.add_everywhere(verb)
        config_command.sources(verb)
        verb.add_argument("--data-dir", metavar="DIR", help="where everything is kept (data_dir)")
        found[name] = verb
    return found


def with_store(given: argparse.Namespace, work: Callable[[Store], Awaitable[T]]) -> T:
    """Open the store that the configuration names, have `work` done with it, and close it."""
    config = config_command.loaded(given, data_dir=given.data_dir).config
    if config.store.use == "memory":
        raise ConfigError(
            "store: memory is gone with its process, so there is nothing to work on; "
            "choose another store, or ask the server at /api/v1/keys"
        )

    async def whole() -> T:
        store: Store = config.store.build(data_dir=config.data_dir)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(whole())


def console() -> Principal:
    """Whoever runs this command, in the words of the audit trail."""
    number = os.getuid()
    try:
        login = pwd.getpwuid(number).pw_name
    except KeyError:
        login = str(number)
    return Principal(f"console:{login}", frozenset(Scope), (ALL_TENANTS,))
