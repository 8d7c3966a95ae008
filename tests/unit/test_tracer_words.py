"""Zipkin's and Jaeger's senders are answered as their own collectors do."""

from __future__ import annotations

import pytest

from watchkeeper.api.door_table import DOORS
from watchkeeper.api.doors import TracerWords
from watchkeeper.errors import BadInput, OverLimit, Retryable, TooLarge, WatchkeeperError
from watchkeeper.ingest.prepare import Accepted
from watchkeeper.model.signal import Reject

WORDS = TracerWords()
TOO_OLD = Reject("too_old", 1, "older than 30 days")


@pytest.mark.parametrize(
    "accepted", [Accepted(3), Accepted(0), Accepted(0, repeated=True), Accepted(2, (TOO_OLD,))]
)
def test_what_was_taken_also_in_part_is_202_without_a_body(accepted: Accepted) -> None:
    answer = WORDS.accepted(accepted, {})

    assert (answer.status, answer.body) == (202, b"")


def test_a_body_of_which_nothing_was_taken_is_400_with_the_reason() -> None:
    answer = WORDS.accepted(Accepted(0, (TOO_OLD,)), {})

    assert answer.status == 400
    assert answer.body == b"0 spans accepted; not accepted: 1 spans: too_old (older than 30 days)"


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (BadInput("no spans"), 400, []),
        (BadInput("no such encoding", status=415), 415, []),
        (TooLarge("too large"), 413, []),
        (Retryable("the log is full", after_s=2.5), 503, [(b"retry-after", b"3")]),
        (OverLimit("too many", after_s=7), 429, [(b"retry-after", b"7")]),
    ],
)
def test_a_refusal_is_text_that_says_why(
    error: WatchkeeperError, status: int, headers: list[tuple[bytes, bytes]]
) -> None:
    answer = WORDS.refused(error, {})

    assert (answer.status, answer.body) == (status, str(error).encode())
    assert list(answer.headers)[1:] == headers


def test_the_doors_of_tracers_are_where_their_senders_look_for_them() -> None:
    found = {path: door.receiver for path, door in DOORS.items() if door.words == WORDS}

    assert found == {"/api/v2/spans": "zipkin", "/api/traces": "jaeger_thrift"}
