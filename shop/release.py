"""Deploy a version of a service, or go back to the one before:

python -m shop.release deploy payment v2.1.0 --set delay_ms=400 --home DIR
python -m shop.release rollback payment --home DIR
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from shop import directory, releases
from shop.control import NoAnswer, restart
from shop.directory import Directory, Found, NotRunning
from shop.releases import BadRelease, Release

READY_S = 60.0
TOLD_S = 10.0
DOOR = "/ingest/deployment"
_STATUS = {"deploy": "success", "rollback": "rolled_back"}


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    began_s = time.time()
    try:
        shop = directory.read(asked.home)
        where = _place(shop, asked.service)
        release = _chosen(asked)
        is_there = _begin(asked.home, asked.service, release, where)
    except (NotRunning, BadRelease, NoAnswer) as why:
        print(f"release: {why}", file=sys.stderr)
        return 1
    status = _STATUS[asked.what] if is_there else "failed"
    print(f"{asked.service} {release.version}: {status}")
    event = {
        "timestamp": began_s,
        "service": asked.service,
        "version": release.version,
        "status": status,
        "metadata": {"deployed_by": asked.by},
    }
    tell(shop, event)
    return 0 if is_there else 1


def _place(shop: Directory, service: str) -> Found:
    found = shop.services.get(service)
    if found is None:
        raise BadRelease(f"no service is called '{service}': {', '.join(shop.services)}")
    return found


def _chosen(asked: argparse.Namespace) -> Release:
    """Written down as the one that runs from the next start on."""
    if asked.what == "rollback":
        return releases.rollback(asked.home, asked.service)
    release = releases.made(asked.version, asked.settings)
    releases.deploy(asked.home, asked.service, release)
    return release


def tell(shop: Directory, event: dict[str, Any]) -> None:
    """Watchkeeper, where the shop is watched. What cannot be told was done all the same."""
    if shop.watchkeeper is None:
        return
    try:
        url = f"{shop.watchkeeper.rstrip('/')}{DOOR}"
        httpx.post(url, json=event, timeout=TOLD_S, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        print(f"release: it was not told to {shop.watchkeeper}: {error}", file=sys.stderr)


def _begin(home: Path, service: str, release: Release, where: Found) -> bool:
    """The service as that release; whether it answers as such."""
    restart(home, service)
    until = time.monotonic() + READY_S
    while _version(where) != release.version:
        if time.monotonic() > until:
            print(
                f"release: {service} does not answer as {release.version}; go back: "
                f"python -m shop.release rollback {service} --home {home}",
                file=sys.stderr,
            )
            return False
        time.sleep(0.1)
    return True


def _version(where: Found) -> str | None:
    try:
        url = f"http://{where.host}:{where.port}/health"
        with urllib.request.urlopen(url, timeout=1) as response:
            version: str = json.load(response)["version"]
            return version
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shop.release", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    what = parser.add_subparsers(dest="what", required=True)
    deploy = what.add_parser("deploy", help="run another version")
    rollback = what.add_parser("rollback", help="run the one before again")
    for one in (deploy, rollback):
        one.add_argument("service", metavar="SERVICE")
        one.add_argument("--home", type=Path, required=True, metavar="DIR", help="the shop's")
        one.add_argument("--by", default="shop.release", metavar="WHO", help="who did it")
    deploy.add_argument("version", metavar="VERSION")
    deploy.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="NAME=VALUE",
        help=f"what is other than usual in it: {', '.join(releases.SETTINGS)}",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
