"""The eight services and a bank, as Flask applications that call each other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from flask import Flask, abort, jsonify, request

from shop import harm
from shop.cache import Cache
from shop.database import Database
from shop.faults import Faults
from shop.releases import FIRST, Release
from shop.stock import HISTORY, PRICE_CENTS, Customers, Payments, Stock

NAMES = (
    "gateway", "checkout", "payment", "inventory", "cart", "user", "shipping", "notification",
)  # fmt: skip
THIRD_PARTIES = ("bank",)
"""Whom the shop asks and nobody can look into: they are not observed."""
OWNERS = ("inventory", "payment", "user")
"""Of tables in the database."""
CACHE_S = 1.0
CART_S = 600.0
log = logging.getLogger("shop")


class Answer(NamedTuple):
    status: int
    value: Any


Call = Callable[[str, str, str], Answer]
"""(service, method, path): asks another service."""


class Place(NamedTuple):
    """What a service stands on."""

    call: Call
    database: Database
    cache: Cache
    faults: Faults
    wait: Callable[[float], None] = time.sleep
    release: Release = FIRST
    history: int = HISTORY


def build(name: str, place: Place) -> Flask:
    """A service by its name."""
    app = Flask(name)

    @app.get("/health")
    def health() -> Any:
        return {"service": name, "status": "ok", "version": place.release.version}

    _faults(app, place)
    _ADD[name](app, place)
    return app


def _faults(app: Flask, place: Place) -> None:
    faults = place.faults
    wasted = harm.add(app)

    @app.before_request
    def strike() -> Any:
        if request.path == "/health" or request.path.startswith("/simulate"):
            return None
        delay_s, fails = faults.of(request.path)
        delay_s += place.release.delay_ms / 1e3
        if delay_s:
            place.wait(delay_s)
        if fails:
            log.error("simulated failure of %s", request.path)
            return jsonify(error="simulated failure"), 500
        if faults.chance.random() < place.release.error_rate:
            raise RuntimeError(f"{request.path} is not what {place.release.version} can do")
        return None

    @app.post("/simulate/delay")
    def delay() -> Any:
        return _simulated(faults, faults.delay, request.args.get("duration", "1000"))

    @app.post("/simulate/error")
    def error() -> Any:
        return _simulated(faults, faults.error, request.args.get("rate", "1"))

    @app.post("/simulate/wrong")
    def wrong() -> Any:
        return _simulated(faults, faults.wrong, request.args.get("rate", "1"))

    @app.delete("/simulate")
    def clear() -> Any:
        faults.clear()
        wasted.burn(0)
        wasted.leak(0)
        return faults.told()


def _simulated(faults: Faults, begin: Callable[[str, float], None], amount: str) -> Any:
    try:
        begin(request.args.get("endpoint", ""), float(amount))
    except ValueError as wrong:
        return jsonify(error=str(wrong)), 400
    return faults.told()


def _needed(answer: Answer, what: str) -> Any:
    """The answer's value; without it this service cannot answer either."""
    if answer.status >= 500:
        log.error("%s failed with %d", what, answer.status)
        abort(502)
    if answer.status >= 400:
        abort(answer.status)
    return answer.value


def _gateway(app: Flask, place: Place) -> None:
    @app.post("/checkout/<int:user>")
    def checkout(user: int) -> Any:
        return _needed(place.call("checkout", "POST", f"/checkout/{user}"), "checkout")

    @app.get("/cart/<int:user>")
    def cart(user: int) -> Any:
        return _needed(place.call("cart", "GET", f"/cart/{user}"), "cart")

    @app.get("/inventory/<int:item>")
    def inventory(item: int) -> Any:
        return _needed(place.call("inventory", "GET", f"/inventory/{item}"), "inventory")


def _checkout(app: Flask, place: Place) -> None:
    @app.post("/checkout/<int:user>")
    def checkout(user: int) -> Any:
        cart = _needed(place.call("cart", "GET", f"/cart/{user}"), "cart")
        for item in cart["items"]:
            _needed(place.call("inventory", "POST", f"/inventory/{item}/take"), "inventory")
        paid = _needed(place.call("payment", "POST", f"/payment/{user}"), "payment")
        sent = _needed(place.call("shipping", "POST", f"/shipping/{user}"), "shipping")
        told = place.call("notification", "POST", f"/notification/{user}")
        if told.status >= 400:  # nobody goes without what he paid for, for want of a message
            log.warning("notification failed with %d", told.status)
        return {
            "paid": paid["paid"],
            "cents": paid["cents"],
            "parcel": sent["parcel"],
            "items": cart["items"],
        }


def _payment(app: Flask, place: Place) -> None:
    payments = Payments(place.database, place.history)

    @app.post("/payment/<int:user>")
    def payment(user: int) -> Any:
        if place.faults.is_wrong(request.path):  # neither charged nor kept, and nobody is told
            return {"paid": True, "user": user, "cents": 0, "lately": 0}
        lately = payments.lately(user)
        _needed(place.call("bank", "POST", f"/charge/{user}"), "bank")
        payments.paid(user, PRICE_CENTS)
        return {"paid": True, "user": user, "cents": PRICE_CENTS, "lately": lately}


def _bank(app: Flask, place: Place) -> None:
    @app.post("/charge/<int:user>")
    def charge(user: int) -> Any:
        return {"charged": user}


def _inventory(app: Flask, place: Place) -> None:
    stock = Stock(place.database)

    @app.get("/inventory/<int:item>")
    def inventory(item: int) -> Any:
        left = _cached(place.cache, f"inventory:{item}", lambda: stock.left(item))
        if left is None:
            abort(404)
        return {"item": item, "left": left}

    @app.post("/inventory/<int:item>/take")
    def take(item: int) -> Any:
        if not stock.take(item):
            abort(409)
        return {"item": item}


def _cached(cache: Cache, key: str, ask: Callable[[], Any]) -> Any:
    found = cache.get(key)
    if found is None:
        found = ask()
        cache.put(key, found, CACHE_S)
    return found


def _cart(app: Flask, place: Place) -> None:
    @app.get("/cart/<int:user>")
    def cart(user: int) -> Any:
        known = _needed(place.call("user", "GET", f"/user/{user}"), "user")
        items = place.cache.get(f"cart:{user}")
        if items is None:
            items = [user % 50, user * 7 % 50]
            place.cache.put(f"cart:{user}", items, CART_S)
        return {"user": known["user"], "items": items}


def _user(app: Flask, place: Place) -> None:
    customers = Customers(place.database)

    @app.get("/user/<int:user>")
    def who(user: int) -> Any:
        plan = _cached(place.cache, f"user:{user}", lambda: customers.plan(user))
        return {"user": user, "plan": plan}


def _shipping(app: Flask, place: Place) -> None:
    @app.post("/shipping/<int:user>")
    def shipping(user: int) -> Any:
        return {"parcel": f"P{user}"}


def _notification(app: Flask, place: Place) -> None:
    @app.post("/notification/<int:user>")
    def notification(user: int) -> Any:
        return {"told": user}


_ADD: dict[str, Callable[[Flask, Place], None]] = {
    "gateway": _gateway,
    "checkout": _checkout,
    "payment": _payment,
    "bank": _bank,
    "inventory": _inventory,
    "cart": _cart,
    "user": _user,
    "shipping": _shipping,
    "notification": _notification,
}
