"""The fuzz of the receivers of spans, for as long as one likes."""

from __future__ import annotations

import random
import secrets
import time

import pytest

from tests import protobuf_trees, span_fuzz
from tests.span_senders import FORMS, Sent


@pytest.mark.parametrize("name", FORMS)
def test_no_body_of_spans_breaks_what_stages_rely_on(name: str, soak_s: float) -> None:
    form = FORMS[name]
    seed = first = secrets.randbits(48)
    deadline_s = time.monotonic() + soak_s / len(FORMS)
    while time.monotonic() < deadline_s:
        rng = random.Random(seed)
        try:
            sound = (
                span_fuzz.otlp_request(rng).SerializeToString()
                if name == "otlp_traces"
                else form.write([Sent(tags={"http.route": "/größe"})] * rng.randrange(4))
            )
            for _ in range(4):
                span_fuzz.check_sound(span_fuzz.decoded(form, protobuf_trees.mutate(sound, rng)))
        except Exception as error:
            raise AssertionError(f"random.Random({seed}) makes it: {error!r}") from error
        seed += 1
    print(f"{name}: {seed - first} seeds from {first}")
