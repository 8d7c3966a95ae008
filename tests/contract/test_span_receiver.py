"""What every receiver of spans promises beside what all receivers of rows do."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import Golden, golden_cases
from tests.row_receivers import decode, makers_of
from tests.span_senders import (
    FORMS,
    NOW_NS,
    Form,
    attributes_of,
    batches,
    facts_of,
    facts_sent,
    trace_of,
)
from watchkeeper import plugins
from watchkeeper.ingest.receivers.base import Receiver
from watchkeeper.model.severity import SpanKind, SpanStatus
from watchkeeper.model.signal import WireRows

TRACERS = pytest.mark.parametrize(
    "form", [form for name, form in FORMS.items() if name != "telemetry_records"]
)
"""Records of requests have no kinds, tags and ids of spans, and dates for times."""


@TRACERS
@pytest.mark.parametrize("time_ns", [2**63, 2**63 - 1 - 2**40])
def test_a_time_beyond_what_we_can_count_costs_its_own_span(form: Form, time_ns: int) -> None:
    """Its start, or its end."""
    sent = form.given(3)
    far = replace(sent[1], start_ns=time_ns // 10**6 * 10**6, duration_ns=2**41)

    wire = decode(form, form.write([sent[0], far, sent[2]]))

    assert facts_of(wire) == facts_sent([sent[0], sent[2]])
    assert [reject.reason for reject in wire.rejects] == ["timestamp_range"]


@TRACERS
@pytest.mark.parametrize("kind", list(SpanKind)[1:])
def test_every_kind_is_told_apart(form: Form, kind: SpanKind) -> None:
    sent = [replace(form.given(1)[0], kind=kind)]

    (batch,) = batches(decode(form, form.write(sent)))

    assert batch.kind.tolist() == [kind]


@TRACERS
def test_tags_are_kept_as_attributes(form: Form) -> None:
    tags = {"http.route": "/pay/{id}", "größe": 'a "quoted" \\ line\nbreak', "empty": ""}
    sent = [replace(form.given(1)[0], tags=tags)]

    (batch,) = batches(decode(form, form.write(sent)))

    assert tags.items() <= attributes_of(batch).items()


FORM_OF_FILE = {"json": "application/json", "pb": "application/x-protobuf", "thrift": ""}


@pytest.mark.parametrize(
    "case", [case for case in golden_cases(__file__) if case.startswith("span_receivers/")]
)
def test_golden_bodies_are_read_as_reviewed(case: str, golden: Golden) -> None:
    _, name, file = case.split("/")
    _, form = file.split(".")

    receiver: Receiver = plugins.load("receiver", name)()
    wire = receiver.decode(golden.given(case), {"content-type": FORM_OF_FILE[form]}, now_ns=NOW_NS)

    assert isinstance(wire, WireRows)
    golden.check(case, rendered(wire))


def rendered(wire: WireRows) -> str:
    """A paragraph for each span and a line for each reject."""
    lines = []
    for batch in batches(wire):
        for row in range(len(batch)):
            place = dict(batch.origins[batch.origin[row]].labels)
            lines += [
                f"{SpanKind(batch.kind[row]).name} {batch.name.text(row)!r} "
                f"{SpanStatus(batch.status[row]).name} {batch.message.text(row)!r}",
                f"  ids {trace_of(batch, row)} {batch.span[row]:016x} {batch.parent[row]:016x}",
                f"  time {batch.start_ns[row]} + {batch.duration_ns[row]}",
                f"  origin {json.dumps(place, ensure_ascii=False)}",
            ]
            for name in ("attributes", "events", "links"):
                text = getattr(batch, name).text(row)
                lines += [f"  {name} {text}"] if text else []
    lines += [f"rejected {one.count}: {one.reason}: {one.detail}" for one in wire.rejects]
    lines += ["of now"] if wire.is_of_now else []
    return "\n".join([*lines, ""])


def test_golden_files_are_there_for_every_receiver() -> None:
    cases = [case for case in golden_cases(__file__) if case.startswith("span_receivers/")]

    assert {case.split("/")[1] for case in cases} == makers_of("spans")


@TRACERS
def test_zeros_are_no_ids(form: Form) -> None:
    sent = form.given(3)
    sent[1] = replace(sent[1], span="0" * 16)

    wire = decode(form, form.write(sent))

    assert [reject.reason for reject in wire.rejects] == ["bad_id"]
    assert np.unique(batches(wire)[0].span).tolist() == [1, 3]
