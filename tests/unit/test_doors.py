"""Each protocol is answered in its own words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)

from watchkeeper.api.doors import (
    Answer,
    JsonWords,
    LokiWords,
    OtlpWords,
    RemoteWriteWords,
    read_body,
    send_answer,
)
from watchkeeper.errors import BadInput, Retryable, TooLarge
from watchkeeper.ingest.prepare import Accepted
from watchkeeper.model.signal import Reject

ALL = Accepted(3)
SOME = Accepted(2, (Reject("future", 1, "check the sender's clock"),))
EVERY_WORDS = pytest.mark.parametrize(
    "words", [RemoteWriteWords(), OtlpWords("samples"), JsonWords("samples"), LokiWords()]
)
JSON_REQUEST = {"content-type": "application/json; charset=utf-8"}


def test_remote_write_is_204_without_a_body_when_everything_was_written() -> None:
    answer = RemoteWriteWords().accepted(ALL, {})

    assert (answer.status, answer.body) == (204, b"")


def test_remote_write_is_never_2xx_when_something_was_not_written() -> None:
    answer = RemoteWriteWords().accepted(SOME, {})

    assert answer.status == 400
    assert b"2 samples accepted" in answer.body
    assert b"check the sender's clock" in answer.body


def test_otlp_success_leaves_partial_success_unset() -> None:
    answer = OtlpWords("samples").accepted(ALL, {})
    told = ExportMetricsServiceResponse.FromString(answer.body)

    assert answer.status == 200
    assert not told.HasField("partial_success")


def test_otlp_partial_success_counts_what_was_rejected() -> None:
    told = ExportMetricsServiceResponse.FromString(OtlpWords("samples").accepted(SOME, {}).body)

    assert told.partial_success.rejected_data_points == 1
    assert "future" in told.partial_success.error_message


def test_otlp_answers_json_with_json() -> None:
    full = OtlpWords("samples").accepted(ALL, JSON_REQUEST)
    partial = OtlpWords("samples").accepted(SOME, JSON_REQUEST)
    refused = OtlpWords("samples").refused(BadInput("no"), JSON_REQUEST)

    assert json.loads(full.body) == {}
    assert json.loads(partial.body)["partialSuccess"]["rejectedDataPoints"] == "1"
    assert json.loads(refused.body) == {"code": 3, "message": "no"}
    assert (b"content-type", b"application/json") in refused.headers


def test_otlp_errors_are_google_rpc_status_and_say_what_may_be_retried() -> None:
    refused = OtlpWords("samples").refused(BadInput("no"), {})
    later = OtlpWords("samples").refused(Retryable("full", after_s=2.5), {})

    assert (refused.status, Status.FromString(refused.body).code) == (400, 3)
    assert (later.status, Status.FromString(later.body).code) == (503, 14)
    assert (b"retry-after", b"3") in later.headers


def test_otlp_says_of_logs_how_many_records_were_rejected() -> None:
    told = ExportLogsServiceResponse.FromString(OtlpWords("lines").accepted(SOME, {}).body)

    assert told.partial_success.rejected_log_records == 1
    assert told.partial_success.error_message.startswith("2 lines accepted")


def test_loki_is_204_without_a_body_when_every_line_was_taken() -> None:
    answer = LokiWords().accepted(ALL, {})

    assert (answer.status, answer.body) == (204, b"")


def test_loki_is_400_in_words_when_a_line_was_not_taken() -> None:
    """The client drops the body; what was sound in it is stored."""
    answer = LokiWords().accepted(SOME, {})

    assert answer.status == 400
    assert b"2 lines accepted" in answer.body
    assert b"check the sender's clock" in answer.body


@EVERY_WORDS
def test_overload_is_503_with_retry_after_in_every_protocol(words: Any) -> None:
    answer = words.refused(Retryable("full"), {})

    assert answer.status == 503
    assert (b"retry-after", b"1") in answer.headers


@EVERY_WORDS
def test_too_large_is_413_in_every_protocol(words: Any) -> None:
    assert words.refused(TooLarge("large"), {}).status == 413


def test_json_says_what_was_taken_and_what_was_not() -> None:
    answer = JsonWords("samples").accepted(SOME, {})

    assert answer.status == 200
    assert json.loads(answer.body) == {
        "status": "partial",
        "accepted": 2,
        "rejected": [{"reason": "future", "count": 1, "detail": "check the sender's clock"}],
    }


def test_json_is_400_when_nothing_was_taken() -> None:
    answer = JsonWords("samples").accepted(Accepted(0, (Reject("future", 1),)), {})

    assert answer.status == 400
    assert "future" in json.loads(answer.body)["detail"]


class Sender:
    """The receiving end of ASGI, fed with messages."""

    def __init__(self, *messages: Mapping[str, Any]) -> None:
        self._messages = list(messages)

    async def __call__(self) -> Mapping[str, Any]:
        return self._messages.pop(0)


def chunk(body: bytes, *, more: bool) -> Mapping[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_chunks_is_put_together() -> None:
    sender = Sender(chunk(b"ab", more=True), chunk(b"cd", more=False))

    assert await read_body({"path": "/x"}, sender, 10) == b"abcd"


async def test_a_body_is_refused_as_soon_as_it_is_too_large() -> None:
    sender = Sender(chunk(b"abc", more=True), chunk(b"never read", more=False))

    with pytest.raises(TooLarge, match=r"server\.body_bytes"):
        await read_body({"path": "/x"}, sender, 2)


async def test_a_sender_that_goes_away_in_the_middle_leaves_nothing() -> None:
    sender = Sender(chunk(b"ab", more=True), {"type": "http.disconnect"})

    with pytest.raises(BadInput, match="went away"):
        await read_body({"path": "/x"}, sender, 10)


V2 = {"content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
WRITTEN = b"x-prometheus-remote-write-%s-written"


@pytest.mark.parametrize(
    ("answer", "status", "counts"),
    [
        (
            RemoteWriteWords().accepted(Accepted(3, n_histograms=2, n_exemplars=1), V2),
            204,
            (3, 2, 1),
        ),
        (RemoteWriteWords().accepted(SOME, V2), 400, (2, 0, 0)),
        (RemoteWriteWords().accepted(Accepted(0, repeated=True, n_before=7), V2), 204, (7, 0, 0)),
        (RemoteWriteWords().refused(BadInput("no"), V2), 400, (0, 0, 0)),
        (RemoteWriteWords().refused(Retryable("full"), V2), 503, (0, 0, 0)),
    ],
)
def test_remote_write_2_is_told_how_much_was_written(
    answer: Answer, status: int, counts: tuple[int, int, int]
) -> None:
    told = dict(answer.headers)

    assert answer.status == status
    assert (
        tuple(int(told[WRITTEN % noun]) for noun in (b"samples", b"histograms", b"exemplars"))
        == counts
    )


async def test_an_answer_without_a_body_keeps_its_headers() -> None:
    sent: list[Mapping[str, Any]] = []

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    await send_answer(send, RemoteWriteWords().accepted(ALL, V2))

    assert (WRITTEN % b"samples", b"3") in sent[0]["headers"]


def test_remote_write_1_is_told_nothing_of_counts() -> None:
    assert RemoteWriteWords().accepted(ALL, {}).headers == ()
