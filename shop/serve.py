"""One service as a process: `python -m shop.serve NAME PLAN`, where the plan is a JSON file."""

from __future__ import annotations

import logging
import random
import signal
import sys
from pathlib import Path

import httpx
from waitress import serve

from shop.effects import Felt
from shop.faults import Faults
from shop.plan import Plan, read
from shop.releases import FIRST, current
from shop.services import THIRD_PARTIES, Answer, Call, Place, build
from watchkeeper.sdk.middleware import Settings, observe, trace_calls


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
    with httpx.Client(trust_env=False) as client:
        call = calls(plan, client, Felt(home, name), release.timeout_s)
        place = Place(call, home, Faults(random.Random(plan.seed)), release=release)
        app = build(name, place)
        port = plan.ports[name]
        if plan.watchkeeper and name not in THIRD_PARTIES:
            trace_calls(httpx)
            settings = Settings(
                name,
                plan.watchkeeper,
                environment="shop",
                version=release.version,
                instance=f"{plan.host}:{port}",
                metrics_s=plan.metrics_s,
            )
            observe(app, settings)
        serve(app, host=plan.host, port=port, threads=release.threads)


if __name__ == "__main__":
    main(*sys.argv[1:3])
