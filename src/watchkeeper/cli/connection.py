"""The flags and the client of commands that talk to a server."""

from __future__ import annotations

import argparse

from watchkeeper.config.environment import DEFAULT_URL, client_settings
from watchkeeper.sdk import Client, Retry
from watchkeeper.telemetry import Secret


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url", metavar="URL", help=f"the server (else WATCHKEEPER_URL, else {DEFAULT_URL})"
    )
    parser.add_argument(
        "--tenant", metavar="NAME", help="whose data (else WATCHKEEPER_TENANT, else the key's)"
    )
    parser.add_argument(
        "--api-key",
        type=Secret,
        metavar="KEY",
        help="the key to show (better WATCHKEEPER_API_KEY: others on this machine see arguments)",
    )


def connect(given: argparse.Namespace, *, attempts: int = 3) -> Client:
    """A client for the server that flags or the environment name.

    Few attempts where a person waits for the answer; more where a long work would be lost.
    """
    settings = client_settings()
    return Client(
        given.url or settings.url,
        tenant=given.tenant or settings.tenant,
        api_key=given.api_key or settings.api_key,
        retry=Retry(attempts=attempts),
    )
