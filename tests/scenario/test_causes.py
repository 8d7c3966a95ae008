"""From what a system tells of itself to the cause of its trouble, over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.cases import Call
from tests.rhythm import BEGIN_S, STEP_S
from tests.scenario.shop import Shop, shop
from tests.telling import DATABASE, tell_change, tell_lines, tell_samples, tell_spans, zipkin

MINUTE = 60
NOW_S = BEGIN_S + MINUTE * STEP_S
ONSET_S = NOW_S - 120
HEALTHY_S = ONSET_S - 700


def request(*, payment_ms: float = 5.0, failed: bool = False, database_ms: float = 2.0) -> Call:
    database = Call("database", database_ms, silent=True)
    payment = Call("payment", payment_ms, (database,), failed=failed)
    stock = Call("stock", 4.0, (database,))
    return Call("gateway", 3.0, (Call("order", 4.0, (stock, payment), failed=failed),), failed)


async def tell(one: Shop, broken: Call) -> None:
    """Twelve healthy minutes, then two of trouble."""
    await tell_spans(one.http, zipkin(request(), at_s=HEALTHY_S, n=130, every_s=5.0))
    await tell_spans(one.http, zipkin(broken, at_s=ONSET_S, n=50, every_s=2.0, first=2))


async def asked(one: Shop, **question: Any) -> dict[str, Any]:
    answer = await one.http.post("/api/v3/aiops/analyze/rca", json=question)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def graph_of(one: Shop) -> dict[str, Any]:
    """It is saved on ticks."""
    async with asyncio.timeout(60):
        while not (found := await one.get("/api/v1/topology"))["edges"]:
            await one.tick()
            await one.settled()
    return dict(found)


async def test_a_slow_service_is_named_with_its_evidence_over_http(tmp_path: Path) -> None:
    async with shop(tmp_path / "data", minute=MINUTE) as one:
        await tell(one, request(payment_ms=400.0))
        cpu = {"__name__": "process_cpu_usage", "service": "payment", "host": "pi"}
        await tell_samples(one.http, cpu, [0.2] * 70 + [0.95] * 12, at_s=HEALTHY_S)
        await tell_change(one.http, "payment", "v2", ONSET_S - 60)
        await tell_lines(one.http, "payment", ["late again"] * 5, at_s=ONSET_S, level="error")
        await one.settled()
        question = {"service": "gateway", "at": str(ONSET_S), "until": str(NOW_S)}

        found = await asked(one, **question)
        again = [await asked(one, **question) for _ in range(3)]
        graph = await graph_of(one)
        nobody = await asked(one, service="gateway", at=str(ONSET_S - 200), until=str(ONSET_S - 60))

    cause = found["root_cause"]
    by = {one["explainer"] for one in cause["evidence"]}
    assert cause["node"] == "payment"
    assert {"excess_time", "metric_deviation", "recent_change", "error_lines"} <= by
    assert {"gateway", "order", "payment"} <= set(found["affected"])
    assert DATABASE not in found["affected"]
    assert all(one == found for one in again)
    assert ("payment", DATABASE) in {(edge["source"], edge["target"]) for edge in graph["edges"]}
    assert nobody["root_cause"] is None
