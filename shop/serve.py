"""One service as a process: `python -m shop.serve NAME PLAN`, where the plan is a JSON file."""

from __future__ import annotations

import logging
import random
import signal
import sys
from functools import partial
from pathlib import Path

import httpx
from waitress import serve

from shop.cache import Cache, Memory, Redis
from shop.database import Database, Postgres, Sqlite
from shop.effects import Felt
from shop.faults import Faults
from shop.instrument import OTEL, Instrument, Nothing, Sdk
from shop.plan import Plan, read
from shop.releases import FIRST, Release, current
from shop.services import OWNERS, THIRD_PARTIES, Answer, Call, Place, build
from shop.stores import POSTGRES, REDIS


def calls(plan: Plan, client: httpx.Client, felt: Felt, usual_s: float = FIRST.timeout_s) -> Call:
    """Asks other services over HTTP. Who cannot be reached has failed, as a proxy would say it."""

    def once(service: str, method: str, path: str) -> Answer:
        host, port = felt.address(service, plan.host, plan.ports[service])
        try:
            response = client.request(
                method, f"http://{host}:{port}{path}", timeout=felt.timeout_s(usual_s)
            )
        except httpx.TransportError as error:
            logging.getLogger("shop").error("%s cannot be reached: %s", service, error)  # noqa: TRY400
            return Answer(504 if isinstance(error, httpx.TimeoutException) else 503, None)
        is_json = response.headers.get("content-type", "").startswith("application/json")
        return Answer(response.status_code, response.json() if is_json else None)

    def call(service: str, method: str, path: str) -> Answer:
        answer = once(service, method, path)
        for _ in range(felt.retries()):
            if answer.status < 500:
                break
            answer = once(service, method, path)
        return answer

    return call


def main(name: str, plan_file: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what is left to tell is told at exit
    plan = read(Path(plan_file))
    home = Path(plan.folder)
    release = current(home, name)
    felt = Felt(home, name)
    seen = instrument(plan, name, release)
    with httpx.Client(trust_env=False) as client:
        call = calls(plan, client, felt, release.timeout_s)
        database = _database(plan, felt, release, seen)
        if isinstance(database, Postgres) and name in OWNERS:
            database.await_ready()
        faults = Faults(random.Random(plan.seed))
        cache = _cache(plan, felt, seen)
        place = Place(call, database, cache, faults, release=release, history=plan.history)
        app = build(name, place)
        seen.observe(app)
        serve(app, host=plan.host, port=plan.ports[name], threads=release.threads)


def instrument(plan: Plan, name: str, release: Release) -> Instrument:
    """What observes a service."""
    if not plan.watchkeeper or name in THIRD_PARTIES:
        return Nothing()
    if plan.instrument == OTEL:
        from shop.otel import Otel  # what it stands on is an extra

        return Otel(plan, name, release)
    return Sdk(plan, name, release)


def _database(plan: Plan, felt: Felt, release: Release, seen: Instrument) -> Database:
    if POSTGRES in plan.stores:
        where = partial(felt.address, POSTGRES, plan.host, plan.stores[POSTGRES])
        return Postgres(where, release.pool, seen.watch(POSTGRES))
    return Sqlite(Path(plan.folder) / "shop.db", seen.watch("sqlite"))


def _cache(plan: Plan, felt: Felt, seen: Instrument) -> Cache:
    if REDIS in plan.stores:
        where = partial(felt.address, REDIS, plan.host, plan.stores[REDIS])
        return Redis(where, seen.watch(REDIS))
    return Memory()


if __name__ == "__main__":
    main(*sys.argv[1:3])
