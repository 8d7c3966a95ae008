"""Spans through the door into the log: what is let in, what is told, and what a crash leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.doors import House, house
from tests.make import NS_PER_S, START_NS
from tests.span_senders import Sent, facts_of, facts_sent, write_otlp
from watchkeeper.errors import BadInput, Retryable
from watchkeeper.ingest.admit_rows import AdmitRowsConfig
from watchkeeper.ingest.prepare import Accepted
from watchkeeper.ingest.stage import IngestConfig
from watchkeeper.model.series import TenantId
from watchkeeper.model.signal import SpanBatch, WireRows

HOUR_S, DAY_S = 3600, 86_400


def sent(after_s: float = 0.0, **fields: Any) -> Sent:
    return replace(Sent(start_ns=START_NS + round(after_s * NS_PER_S)), **fields)


async def send(one: House, *spans: Sent, **how: Any) -> Accepted:
    return await one.send(write_otlp(spans), protocol="otlp_traces", **how)


def logged(one: House) -> list[SpanBatch]:
    return [record for record in one.records() if isinstance(record, SpanBatch)]


def reasons(accepted: Accepted) -> dict[str, int]:
    return {reject.reason: reject.count for reject in accepted.rejects}


async def test_spans_are_in_the_log_when_their_sender_is_answered(tmp_path: Path) -> None:
    spans = [sent(), sent(1, span="1" * 16)]

    async with house(tmp_path) as one:
        assert await send(one, *spans) == Accepted(2)

        assert facts_of(WireRows(tuple(logged(one)))) == facts_sent(spans)


async def test_spans_outlive_a_crash(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await send(one, sent())

    async with house(tmp_path) as again:
        assert facts_of(WireRows(tuple(logged(again)))) == facts_sent([sent()])


async def test_a_span_is_of_its_tenant_and_speaks_of_its_service(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await send(one, sent(service="stock"), tenant=TenantId("shop"))

        (batch,) = logged(one)
        assert (batch.tenant, batch.origins[0].entity.service) == ("shop", "stock")


async def test_a_body_that_comes_again_adds_nothing_also_after_a_crash(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await send(one, sent())
        again = await send(one, sent())
    async with house(tmp_path) as later:
        after_a_crash = await send(later, sent())

        assert again == after_a_crash == Accepted(0, repeated=True)
        assert len(logged(later)) == 1


async def test_a_span_that_comes_again_in_another_body_is_another(tmp_path: Path) -> None:
    """Halves of a span come apart, and have one id."""
    async with house(tmp_path) as one:
        await send(one, sent())
        await send(one, sent(), sent(1))

        assert sum(map(len, logged(one))) == 3


async def test_records_without_a_time_are_never_taken_for_a_retry(tmp_path: Path) -> None:
    content = json.dumps({"service_name": "shop", "endpoint": "/pay"}).encode()

    async with house(tmp_path) as one:
        first = await one.send(content, protocol="telemetry_records")
        again = await one.send(content, protocol="telemetry_records")

        assert first == again == Accepted(1)
        assert [batch.body_hash for batch in logged(one)] == [b"", b""]


@pytest.mark.parametrize(
    ("after_s", "reason"),
    [
        (HOUR_S, "future"),
        (600.000001, "future"),
        (-30.001 * DAY_S, "too_old"),
        (-365 * DAY_S, "too_old"),
    ],
)
async def test_spans_of_another_time_are_left_out_and_told(
    tmp_path: Path, after_s: float, reason: str
) -> None:
    async with house(tmp_path) as one:
        accepted = await send(one, sent(), sent(after_s, span="1" * 16), sent(1))

        assert (accepted.n_accepted, reasons(accepted)) == (2, {reason: 1})
        assert logged(one)[0].start_ns.tolist() == [START_NS, START_NS + NS_PER_S]


@pytest.mark.parametrize("after_s", [600, 1, -7 * DAY_S, -30 * DAY_S])
async def test_spans_of_clocks_that_are_a_little_off_are_taken(
    tmp_path: Path, after_s: float
) -> None:
    async with house(tmp_path) as one:
        assert await send(one, sent(after_s)) == Accepted(1)


async def test_a_span_with_too_much_text_costs_itself(tmp_path: Path) -> None:
    limits = IngestConfig(rows=AdmitRowsConfig(row_bytes=200))
    large = sent(span="1" * 16, tags={"stack": "x" * 200})

    async with house(tmp_path, ingest=limits) as one:
        accepted = await send(one, sent(), large)

        assert (accepted.n_accepted, reasons(accepted)) == (1, {"too_large": 1})
        assert "row_bytes" in accepted.rejects[0].detail


async def test_a_span_that_is_wrong_twice_is_counted_once(tmp_path: Path) -> None:
    limits = IngestConfig(rows=AdmitRowsConfig(row_bytes=200))
    tags = {"stack": "x" * 200}

    async with house(tmp_path, ingest=limits) as one:
        accepted = await send(one, sent(HOUR_S, tags=tags), sent(-31 * DAY_S, tags=tags))

        assert reasons(accepted) == {"future": 1, "too_old": 1}


async def test_what_the_decoder_and_the_door_left_out_is_told_together(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        accepted = await send(one, sent(), sent(span="0" * 16), sent(HOUR_S))

        assert (accepted.n_accepted, reasons(accepted)) == (1, {"bad_id": 1, "future": 1})


async def test_a_body_of_which_nothing_is_left_logs_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        accepted = await send(one, sent(HOUR_S))

        assert (accepted.n_accepted, logged(one)) == (0, [])


async def test_what_a_full_log_refused_can_come_again(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        one.gate.full = True
        with pytest.raises(Retryable, match="no space left"):
            await send(one, sent())
        one.gate.full = False
        one.clock.advance(1)

        assert await send(one, sent()) == Accepted(1)
        assert sum(map(len, logged(one))) == 1


async def test_a_body_that_is_no_trace_leaves_the_others_of_its_group_alone(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as one:
        tasks = await one.behind(b"\xff", write_otlp([sent()]), protocol="otlp_traces")
        one.gate.let_go()
        _, broken, sound = tasks

        assert await sound == Accepted(1)
        with pytest.raises(BadInput, match="ExportTraceServiceRequest"):
            await broken
