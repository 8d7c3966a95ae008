"""The Flask application of the suite `middleware`: `python -m bench.middleware_app DOOR`.

Observed if a door is named, bare if it is `-`; prints the port at which it is served.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from flask import Flask
from waitress.server import create_server

from watchkeeper.sdk.middleware import Settings, observe


def shop() -> Flask:
    app = Flask(__name__)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/inventory/<int:item>")
    def inventory(item: int) -> dict[str, Any]:
        return {"item": item, "left": 3, "warehouses": ["north", "south"]}

    @app.get("/payment/<int:order>")
    def payment(order: int) -> dict[str, Any]:
        return {"order": order, "state": "paid", "amount": 12.5}

    @app.get("/cpu")
    def cpu() -> str:
        return str(time.process_time_ns())

    return app


def main(door: str) -> None:
    app = shop()
    if door != "-":
        app = observe(app, Settings("shop", url=door))
    server = create_server(app, host="127.0.0.1", port=0, threads=4)
    print(server.effective_port, flush=True)
    server.run()


if __name__ == "__main__":
    main(sys.argv[1])
