"""The fuzz of tests/property, for as long as one likes."""

from __future__ import annotations

import random
import secrets
import time

import pytest

from tests import decoder_fuzz, protobuf_trees
from watchkeeper.ingest.receivers import schema


@pytest.mark.parametrize("protocol", ["remote_write", "remote_write_2", "otlp_metrics"])
def test_no_body_divides_a_decoder_from_its_reference(protocol: str, soak_s: float) -> None:
    make, message = {
        "remote_write": (decoder_fuzz.write_request, schema.remote_write()["WriteRequest"]),
        "remote_write_2": (decoder_fuzz.write_request_2, schema.remote_write_2()["Request"]),
        "otlp_metrics": (
            decoder_fuzz.metrics_request,
            schema.otlp()["ExportMetricsServiceRequest"],
        ),
    }[protocol]
    judge = decoder_fuzz.Judge()
    check = getattr(judge, protocol)
    first = secrets.randbits(48)
    deadline_s = time.monotonic() + soak_s / 2
    seed = first
    while time.monotonic() < deadline_s:
        rng = random.Random(seed)
        try:
            sound = make(rng)
            odd = decoder_fuzz.odd(sound, message, rng)
            check(sound)
            check(odd)
            for _ in range(4):
                check(protobuf_trees.mutate(rng.choice((sound, odd)), rng))
        except AssertionError as error:
            raise AssertionError(f"random.Random({seed}) makes it: {error}") from error
        seed += 1
    print(f"{protocol}: {seed - first} seeds from {first}: {dict(judge.seen)}")
