"""What every receiver of log lines promises beside what all receivers of rows do."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import Golden, golden_cases
from tests.log_senders import (
    FORMS,
    NOW_NS,
    Form,
    Sent,
    attributes_of,
    batches,
    facts_of,
    facts_sent,
    ids_of,
    many,
)
from tests.row_receivers import decode, makers_of
from watchkeeper import plugins
from watchkeeper.ingest.receivers.base import Receiver
from watchkeeper.model.severity import word_of
from watchkeeper.model.signal import WireRows
from watchkeeper.model.template import fingerprints

EVERY = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@EVERY
def test_lines_have_the_fingerprint_of_their_pattern(form: Form) -> None:
    sent = [*many(4), Sent(body="connection refused")]

    (batch,) = batches(decode(form, form.write(sent)))

    assert batch.template.tolist() == fingerprints(batch.body).tolist()
    assert len(np.unique(batch.template)) == 2


@EVERY
@pytest.mark.parametrize("time_ns", [2**63, 2**63 + 10**18])
def test_a_time_beyond_what_we_can_count_costs_its_own_line(form: Form, time_ns: int) -> None:
    sent = many(3)

    wire = decode(form, form.write([sent[0], Sent(time_ns=time_ns), *sent[1:]]))

    assert facts_of(wire) == facts_sent(sent)
    assert [(reject.reason, reject.count) for reject in wire.rejects] == [("timestamp_range", 1)]


@EVERY
@pytest.mark.parametrize("text", ["", 'a "quoted" \\ line\nof \x1b[31mtwo\x00'])
def test_any_text_is_handed_on_as_it_is(form: Form, text: str) -> None:
    sent = many(3)
    sent[1] = replace(sent[1], body=text)

    assert facts_of(decode(form, form.write(sent))) == facts_sent(sent)


@EVERY
def test_tags_are_kept_as_attributes(form: Form) -> None:
    tags = {"http.route": "/pay/{id}", "größe": 'a "quoted" \\ line\nbreak', "long": "x" * 500}
    sent = [Sent(tags=tags)]

    (batch,) = batches(decode(form, form.write(sent)))

    assert attributes_of(batch) == tags


@EVERY
def test_a_line_without_tags_has_no_attributes(form: Form) -> None:
    (batch,) = batches(decode(form, form.write(many(3))))

    assert batch.attributes.data.tobytes() == b""


@EVERY
def test_a_line_knows_its_trace_and_span(form: Form) -> None:
    ids = ("5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174")
    none = ("0" * 32, "0" * 16)
    sent = [Sent(), Sent(trace=ids[0], span=ids[1]), Sent()]

    (batch,) = batches(decode(form, form.write(sent)))

    assert [ids_of(batch, row) for row in range(3)] == [none, ids, none]


FORM_OF_FILE = {
    "json": {"content-type": "application/json"},
    "ndjson": {"content-type": "application/x-ndjson"},
    "pb": {"content-type": "application/x-protobuf"},
    "snappy": {"content-type": "application/x-protobuf", "content-encoding": "snappy"},
}


@pytest.mark.parametrize(
    "case", [case for case in golden_cases(__file__) if case.startswith("log_receivers/")]
)
def test_golden_bodies_are_read_as_reviewed(case: str, golden: Golden) -> None:
    _, name, file = case.split("/")
    _, form = file.split(".")

    receiver: Receiver = plugins.load("receiver", name)()
    wire = receiver.decode(golden.given(case), FORM_OF_FILE[form], now_ns=NOW_NS)

    assert isinstance(wire, WireRows)
    golden.check(case, rendered(wire))


def rendered(wire: WireRows) -> str:
    """A paragraph for each line of a log, and a line for each reject."""
    lines = []
    for batch in batches(wire):
        for row in range(len(batch)):
            place = dict(batch.origins[batch.origin[row]].labels)
            severity = int(batch.severity[row])
            lines += [
                f"{batch.time_ns[row]} {severity} {word_of(severity)} {batch.body.text(row)!r}",
                f"  origin {json.dumps(place, ensure_ascii=False)}",
            ]
            trace, span = ids_of(batch, row)
            lines += [f"  ids {trace} {span}"] if int(trace, 16) or int(span, 16) else []
            text = batch.attributes.text(row)
            lines += [f"  attributes {text}"] if text else []
    lines += [f"rejected {one.count}: {one.reason}: {one.detail}" for one in wire.rejects]
    lines += ["of now"] if wire.is_of_now else []
    return "\n".join([*lines, ""])


def test_golden_files_are_there_for_every_receiver() -> None:
    cases = [case for case in golden_cases(__file__) if case.startswith("log_receivers/")]

    assert {case.split("/")[1] for case in cases} == makers_of("lines")
