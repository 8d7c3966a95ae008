"""A shop in one process."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server

from shop.cache import Memory
from shop.database import Sqlite
from shop.faults import Faults
from shop.services import NAMES, THIRD_PARTIES, Answer, Place, build
from watchkeeper.sdk.middleware import answered, calling, inject


class Street:
    """All eight services, which call each other without a network."""

    def __init__(self, folder: Path, wrap: Callable[[str, Any], Any] | None = None) -> None:
        self.waited: list[float] = []
        database = Sqlite(folder / "shop.db")

        def place() -> Place:
            faults = Faults(random.Random(1))
            return Place(self.call, database, Memory(), faults, self.waited.append, history=100)

        self.apps = {name: build(name, place()) for name in (*NAMES, *THIRD_PARTIES)}
        for name, app in self.apps.items():
            if wrap is not None:
                wrap(name, app)

    def call(self, service: str, method: str, path: str) -> Answer:
        with calling(method, service) as work:
            response = (
                self.apps[service]
                .test_client()
                .open(path, method=method, headers=inject({}), buffered=True)
            )
            answered(work, response.status_code)
        return Answer(response.status_code, response.get_json(silent=True))

    @contextmanager
    def open(self, names: Sequence[str]) -> Iterator[dict[str, int]]:
        """These answer at ports, too."""
        servers = {name: make_server("127.0.0.1", 0, self.apps[name], True) for name in names}
        threads = [
            threading.Thread(target=server.serve_forever, args=(0.02,))
            for server in servers.values()
        ]
        for thread in threads:
            thread.start()
        yield {name: server.server_port for name, server in servers.items()}
        for server, thread in zip(servers.values(), threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
