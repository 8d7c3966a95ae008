"""`watchkeeper audit`: who changed what, and whether the trail is whole."""

from __future__ import annotations

import argparse

from watchkeeper.api.gateway.told import entry_to_json
from watchkeeper.cli import state
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Column, Output
from watchkeeper.clock import SystemClock
from watchkeeper.errors import ConfigError
from watchkeeper.know.audit import Verifier
from watchkeeper.know.audit_stage import Audit
from watchkeeper.model.audit import AuditEntry
from watchkeeper.store.base import Store


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = state.add_verbs(parser, {
        "list": "List what was changed and by whom, newest first.",
        "verify": "Check that no entry of the trail was changed, left out or put in.",
    })  # fmt: skip
    verbs["list"].add_argument(
        "--limit", type=int, default=50, metavar="N", help="entries, at most"
    )
    verbs["verify"].add_argument(
        "--known",
        metavar="POSITION:HASH",
        help="an entry that was noted elsewhere; then missing newer ones show, too",
    )


def run(given: argparse.Namespace) -> int:
    output = Output(as_json=given.json)
    return (_list if given.verb == "list" else _verify)(given, output)


def _list(given: argparse.Namespace, output: Output) -> int:
    if given.limit < 1:
        raise ConfigError(f"--limit: {given.limit} is no number of entries; ask for 1 or more")
    entries = state.with_store(given, lambda store: _newest(store, given.limit))
    if output.as_json:
        output.json({"items": [entry_to_json(entry) for entry in entries]})
        return Exit.OK
    columns = [Column("position", is_number=True), Column("time"), Column("who"), Column("did"),
               Column("to"), Column("tenant"), Column("change", may_shrink=True)]  # fmt: skip
    output.table(columns, [_row(entry) for entry in entries])
    return Exit.OK


def _verify(given: argparse.Namespace, output: Output) -> int:
    known = _known(given.known)
    verifier, faults = state.with_store(given, lambda store: _walk(store, known))
    newest = verifier.newest
    end = "" if newest is None else f"{newest.position}:{newest.hash}"
    if output.as_json:
        output.json(
            {"ok": not faults, "entries": verifier.n_entries, "newest": end, "faults": faults}
        )
    else:
        for fault in faults:
            output.print(fault)
        verdict = "is broken" if faults else "is whole"
        output.print(f"the trail of {verifier.n_entries} entries {verdict}; newest {end or 'none'}")
    return Exit.NO if faults else Exit.OK


async def _newest(store: Store, limit: int) -> list[AuditEntry]:
    found = []
    async for entry in Audit(store, SystemClock()).backwards():
        found.append(entry)
        if len(found) == limit:
            break
    return found


async def _walk(store: Store, known: tuple[int, str] | None) -> tuple[Verifier, list[str]]:
    verifier, faults, met = Verifier(), list[str](), known is None
    async for entry in Audit(store, SystemClock()).backwards():
        faults += verifier.look(entry)
        met = met or (entry.position, entry.hash) == known
    faults += verifier.finish()
    if known is not None and not met:
        faults.append(f"entry {known[0]} with the hash that was noted is not in the trail")
    return verifier, faults


def _row(entry: AuditEntry) -> list[str]:
    act = entry.act
    before = ", ".join(f"{name}={value}" for name, value in act.before.items())
    after = ", ".join(f"{name}={value}" for name, value in act.after.items())
    change = f"{before} -> {after}" if before else after
    time = entry_to_json(entry)["time"][:19].replace("T", " ")
    return [str(entry.position), time, act.principal, act.action, act.target, act.tenant, change]


def _known(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    position, _, digest = text.partition(":")
    if not (position.isdigit() and len(digest) == 64):
        raise ConfigError(f"--known: '{text[:100]}' is no POSITION:HASH of `audit verify`")
    return int(position), digest
