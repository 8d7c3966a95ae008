"""`watchkeeper run`: start the server."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from watchkeeper.cli import config


def arguments(parser: argparse.ArgumentParser) -> None:
    config.sources(parser)
    parser.add_argument("--host", help="address to listen on (server.host)")
    parser.add_argument("--port", help="port to listen on, 0 for a free one (server.port)")
    parser.add_argument(
        "--only",
        metavar="PARTS",
        help="be a part of the whole, as several processes share the work: any of ingest, store, "
        "detect and api, by commas (parts)",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="where everything is kept (data_dir)")


def run(given: argparse.Namespace) -> int:
    with _importing():
        found = config.loaded(
            given,
            server__host=given.host,
            server__port=given.port,
            data_dir=given.data_dir,
            parts=None if given.only is None else f"[{given.only}]",
        )
        # The server's imports take a second, which --help and completions need not spend.
        from watchkeeper import app, telemetry
        from watchkeeper.cli.ahead import compile_ahead
    gc.freeze()

    telemetry.set_up_log(found.config.telemetry)
    compile_ahead()
    return app.serve(found.config)


@contextmanager
def _importing() -> Iterator[None]:
    """Hundreds of modules come, and stay: to look through them for garbage again and again takes a
    tenth of the time until the server listens."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
