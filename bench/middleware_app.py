"""The small application of the suite `middleware`: `python -m bench.middleware_app PORT [DOOR]`.

Observed if a door is named, else bare.
"""

from __future__ import annotations

import sys
from typing import Any

from flask import Flask
from waitress import serve

from watchkeeper.sdk.middleware import Settings, observe


def shop() -> Flask:
    app = Flask(__name__)

    @app.get("/nothing")
    def nothing() -> str:
        return ""

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/inventory/<int:item>")
    def inventory(item: int) -> dict[str, Any]:
        return {"item": item, "left": 3, "warehouses": ["north", "south"]}

    @app.get("/payment/<int:order>")
    def payment(order: int) -> dict[str, Any]:
        return {"order": order, "state": "paid", "amount": 12.5}

    return app


def main(port: int, door: str = "") -> None:
    app = shop()
    if door:
        app = observe(app, Settings("shop", url=door))
    serve(app, host="127.0.0.1", port=port, threads=4)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
