"""OTLP over gRPC: the same doors, answered in gRPC's own codes, over a real channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.fronts import Api, api
from watchkeeper.api.grpc import PATHS, serving
from watchkeeper.api.services import ServerConfig
from watchkeeper.errors import (
    BadInput,
    ConfigError,
    Denied,
    OverLimit,
    Permanent,
    Retryable,
    TooLarge,
)
from watchkeeper.ingest.prepare import Accepted
from watchkeeper.model.signal import Reject

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


@asynccontextmanager
async def channel(one: Api, **server: Any) -> AsyncIterator[Any]:
    """What a sender speaks through, to this API."""
    config = ServerConfig(grpc_port=0, **server)
    async with (
        serving(one.front, config) as port,
        grpc.aio.insecure_channel(
            f"127.0.0.1:{port}", options=(("grpc.max_send_message_length", -1),)
        ) as made,
    ):
        yield made


async def refusal(made: Any, body: bytes = b"", **how: Any) -> tuple[Any, str, Status]:
    """The code, the words, and the details."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await made.unary_unary(TRACES)(body, **how)
    details = dict(refused.value.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    assert isinstance(details, bytes)
    return refused.value.code(), refused.value.details() or "", Status.FromString(details)


def retry_s(status: Status) -> int | None:
    """What RetryInfo says, where there is one."""
    for detail in status.details:
        info = RetryInfo()
        if detail.Unpack(info):
            return int(info.retry_delay.seconds)
    return None


@pytest.mark.parametrize(
    ("method", "receiver"),
    [
        (method, f"otlp_{signal}")
        for method, signal in zip(PATHS, ("metrics", "logs", "traces"), strict=True)
    ],
)
async def test_each_signal_enters_by_its_own_door(
    tmp_path: Path, method: str, receiver: str
) -> None:
    async with api(tmp_path) as one, channel(one) as made:
        await made.unary_unary(method)(b"the body")

    (came,) = one.door.came
    assert (came.protocol, came.body) == (receiver, b"the body")
    assert came.headers["content-type"] == "application/x-protobuf"


async def test_metadata_are_headers(tmp_path: Path) -> None:
    metadata = (("x-scope-orgid", "shop"), ("x-more", "yes"), ("some-bin", b"\xff"))

    async with api(tmp_path) as one, channel(one) as made:
        await made.unary_unary(TRACES)(b"", metadata=metadata)

    (came,) = one.door.came
    assert came.tenant == "shop"
    assert came.headers["x-more"] == "yes"
    assert came.headers["user-agent"].startswith("grpc-python")
    assert not {"some-bin", "grpc-accept-encoding"} & came.headers.keys()


async def test_success_leaves_partial_success_unset(tmp_path: Path) -> None:
    async with api(tmp_path) as one, channel(one) as made:
        told = ExportTraceServiceResponse.FromString(await made.unary_unary(TRACES)(b""))

    assert not told.HasField("partial_success")


async def test_what_was_not_taken_is_told_with_the_reason(tmp_path: Path) -> None:
    async with api(tmp_path) as one, channel(one) as made:
        one.door.answer = Accepted(2, (Reject("future", 3, "check the sender's clock"),))
        spans = ExportTraceServiceResponse.FromString(await made.unary_unary(TRACES)(b""))
        points = ExportMetricsServiceResponse.FromString(await made.unary_unary(METRICS)(b""))

    assert spans.partial_success.rejected_spans == 3
    assert "check the sender's clock" in spans.partial_success.error_message
    assert points.partial_success.rejected_data_points == 3


@pytest.mark.parametrize(
    ("error", "code", "after_s"),
    [
        (Retryable("the log is full", after_s=2.5), grpc.StatusCode.UNAVAILABLE, 3),
        (OverLimit("too many", after_s=7), grpc.StatusCode.RESOURCE_EXHAUSTED, 7),
        (BadInput("no sound protobuf"), grpc.StatusCode.INVALID_ARGUMENT, None),
        (BadInput("gzip only", status=415), grpc.StatusCode.INVALID_ARGUMENT, None),
        (TooLarge("send less"), grpc.StatusCode.RESOURCE_EXHAUSTED, None),
        (Denied("who are you?", status=401), grpc.StatusCode.UNAUTHENTICATED, None),
        (Denied("not you", status=403), grpc.StatusCode.PERMISSION_DENIED, None),
        (Permanent("a mistake"), grpc.StatusCode.INTERNAL, None),
    ],
)
async def test_a_refusal_says_whether_and_when_to_come_again(
    tmp_path: Path, error: Exception, code: grpc.StatusCode, after_s: int | None
) -> None:
    """A sender retries UNAVAILABLE, and RESOURCE_EXHAUSTED only where RetryInfo comes with it."""
    async with api(tmp_path) as one, channel(one) as made:
        one.door.answer = error
        got, words, status = await refusal(made)

    assert (got, words, retry_s(status)) == (code, str(error), after_s)
    assert (status.code, status.message) == (code.value[0], str(error))


@pytest.mark.parametrize(
    "metadata", [(("authorization", "Bearer wk_nobody_0"),), (("x-forwarded-for", "10.0.0.1"),)]
)
async def test_whom_the_gateway_does_not_know_is_not_let_in(
    tmp_path: Path, metadata: tuple[tuple[str, str], ...]
) -> None:
    async with api(tmp_path) as one, channel(one) as made:
        code, _, _ = await refusal(made, metadata=metadata)

    assert code == grpc.StatusCode.UNAUTHENTICATED
    assert one.door.came == []


async def test_a_name_that_is_no_tenant_is_refused(tmp_path: Path) -> None:
    async with api(tmp_path) as one, channel(one) as made:
        code, words, _ = await refusal(made, metadata=(("x-scope-orgid", "a/b"),))

    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "'a/b'" in words


async def test_compressed_messages_come_plain(tmp_path: Path) -> None:
    body = b"x" * 10_000

    async with api(tmp_path) as one, channel(one) as made:
        await made.unary_unary(TRACES)(body, compression=grpc.Compression.Gzip)

    assert one.door.came[0].body == body
    assert "content-encoding" not in one.door.came[0].headers


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_a_message_beyond_the_limit_is_refused_also_when_it_is_small_on_the_way(
    tmp_path: Path, compression: grpc.Compression
) -> None:
    async with api(tmp_path) as one, channel(one, body_bytes=10_000) as made:
        code, _, _ = await refusal(made, bytes(10_001), compression=compression)
        await made.unary_unary(TRACES)(bytes(10_000), compression=compression)

    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert [len(came.body) for came in one.door.came] == [10_000]


async def test_a_message_beyond_grpcs_usual_limit_of_4_mib_is_taken(tmp_path: Path) -> None:
    async with api(tmp_path) as one, channel(one) as made:
        await made.unary_unary(TRACES)(bytes(5 << 20))

    assert len(one.door.came[0].body) == 5 << 20


async def test_a_method_that_nobody_knows_is_unimplemented(tmp_path: Path) -> None:
    async with api(tmp_path) as one, channel(one) as made:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await made.unary_unary("/opentelemetry.proto.collector.X/Export")(b"")

    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_a_port_that_is_taken_is_a_fault_of_configuration(tmp_path: Path) -> None:
    async with api(tmp_path) as one, serving(one.front, ServerConfig(grpc_port=0)) as port:
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port}.*server\.grpc_port"):
            async with serving(one.front, ServerConfig(grpc_port=port)):
                pass


async def test_an_open_call_is_answered_before_the_server_has_stopped() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_scope: Any, _receive: Any, send: Any) -> None:
        entered.set()
        await go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": ()})
        await send({"type": "http.response.body", "body": b"done"})

    stack = serving(slow, ServerConfig(grpc_port=0))
    port = await stack.__aenter__()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as made:
        call = asyncio.ensure_future(made.unary_unary(TRACES)(b""))
        await entered.wait()
        stopping = asyncio.create_task(stack.__aexit__(None, None, None))
        ended, _ = await asyncio.wait({call, stopping}, timeout=0.2)
        is_open = await is_served(port)
        go_on.set()

        assert (ended, is_open) == (set(), False)
        assert await call == b"done"
        await stopping


async def is_served(port: int) -> bool:
    """Whether a new call would still come through."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as made:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await made.unary_unary("/no/Method")(b"")
    return bool(refused.value.code() == grpc.StatusCode.UNIMPLEMENTED)


async def test_senders_by_ipv6_are_known_by_their_address() -> None:
    peers: list[Any] = []

    async def noting(scope: Any, _receive: Any, send: Any) -> None:
        peers.append(scope["client"])
        await send({"type": "http.response.start", "status": 200, "headers": ()})
        await send({"type": "http.response.body", "body": b""})

    async with (
        serving(noting, ServerConfig(host="::1", grpc_port=0)) as port,
        grpc.aio.insecure_channel(f"[::1]:{port}") as made,
    ):
        await made.unary_unary(TRACES)(b"")

    assert peers[0][0] == "::1"
    assert peers[0][1] > 0
