"""What every receiver of log lines promises: columns that last, and an answer to every fault."""

from __future__ import annotations

import json
import pickle
import zlib
from dataclasses import replace

import cramjam
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
    write_loki_snappy,
)
from watchkeeper import plugins
from watchkeeper.errors import BadInput, TooLarge
from watchkeeper.ingest.receivers.base import Receiver
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.model import wire as log_wire
from watchkeeper.model.severity import word_of
from watchkeeper.model.signal import LogBatch, WireRows
from watchkeeper.model.template import fingerprints

ENCODINGS = ("identity", "gzip", "zstd", "deflate")
EVERY = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
WHOLE = pytest.mark.parametrize("form", [form for form in FORMS.values() if not form.may_end_early])
MAKERS_OF_LINES = {
    name for name in plugins.BUILTIN["receiver"] if plugins.load("receiver", name).makes == "lines"
}


def build(form: Form, **limits: int) -> Receiver:
    receiver: Receiver = plugins.load("receiver", form.receiver)(RowLimits(**limits))
    return receiver


def decode(form: Form, body: bytes, encoding: str = "identity", **limits: int) -> WireRows:
    headers = {**form.headers, "content-encoding": encoding}
    wire = build(form, **limits).decode(body, headers, now_ns=NOW_NS)
    assert isinstance(wire, WireRows)
    return wire


def compress(encoding: str, plain: bytes) -> bytes:
    if encoding == "deflate":
        return zlib.compress(plain)
    codec = {"gzip": cramjam.gzip, "zstd": cramjam.zstd}.get(encoding)
    return bytes(codec.compress(plain)) if codec else plain


def test_the_suite_runs_over_every_receiver_of_lines() -> None:
    assert {form.receiver for form in FORMS.values()} == MAKERS_OF_LINES


@EVERY
def test_what_is_sent_comes_out(form: Form) -> None:
    sent = many(5)

    wire = decode(form, form.write(sent))

    assert facts_of(wire) == facts_sent(sent)
    assert wire.rejects == ()
    assert not wire.is_of_now


@EVERY
def test_columns_are_of_their_types_and_of_one_length(form: Form) -> None:
    (batch,) = batches(decode(form, form.write(many(5))))

    for name, column in LogBatch.COLUMNS.items():
        values = getattr(batch, name)
        assert values.dtype == column.kind, name
        assert values.shape == ((5,) if column.width == 1 else (5, column.width)), name
        assert values.flags.c_contiguous
    assert [len(getattr(batch, name)) for name in LogBatch.TEXTS] == [5, 5]
    assert batch.origin.max() < len(batch.origins)


@EVERY
def test_lines_have_the_fingerprint_of_their_pattern(form: Form) -> None:
    sent = [*many(4), Sent(body="connection refused")]

    (batch,) = batches(decode(form, form.write(sent)))

    assert batch.template.tolist() == fingerprints(batch.body).tolist()
    assert len(np.unique(batch.template)) == 2


@EVERY
def test_a_batch_survives_the_log_and_another_process(form: Form) -> None:
    wire = decode(form, form.write(many(5)))

    from_process = pickle.loads(pickle.dumps(wire))
    from_log = [log_wire.decode(log_wire.encode(record)) for record in wire.records]

    assert facts_of(from_process) == facts_of(wire)
    assert facts_of(WireRows(tuple(from_log))) == facts_of(wire)  # type: ignore[arg-type]


@EVERY
def test_equal_bodies_give_equal_batches(form: Form) -> None:
    body = form.write(many(5))

    first, again = (decode(form, body).records[0] for _ in range(2))

    assert log_wire.encode(first) == log_wire.encode(again)


@EVERY
def test_lines_of_one_place_share_their_origin(form: Form) -> None:
    sent = [Sent(body=f"line {k}") for k in range(6)]

    (batch,) = batches(decode(form, form.write(sent)))

    assert len(batch.origins) == 1


@EVERY
def test_what_was_handed_out_is_not_touched_by_later_bodies(form: Form) -> None:
    receiver = build(form)
    headers = {**form.headers, "content-encoding": "gzip"}

    first = receiver.decode(compress("gzip", form.write(many(40))), headers, now_ns=NOW_NS)
    receiver.decode(compress("gzip", form.write(many(60)[40:])), headers, now_ns=NOW_NS)

    assert isinstance(first, WireRows)
    assert facts_of(first) == facts_sent(many(40))


@WHOLE
def test_a_refused_body_leaves_the_receiver_as_it_was(form: Form) -> None:
    receiver = build(form)
    body = form.write(many(3))
    for broken in (body[:-1], b"\xff" * 40):
        with pytest.raises(BadInput):
            receiver.decode(broken, form.headers, now_ns=NOW_NS)

    wire = receiver.decode(body, form.headers, now_ns=NOW_NS)

    assert isinstance(wire, WireRows)
    assert facts_of(wire) == facts_sent(many(3))


@EVERY
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_wrong_content_type_is_415(form: Form, content_type: str) -> None:
    body = form.write(many(3))

    with pytest.raises(BadInput, match=content_type) as refusal:
        build(form).decode(body, {"content-type": content_type}, now_ns=NOW_NS)

    assert refusal.value.status == 415


@EVERY
def test_headers_may_be_in_any_case(form: Form) -> None:
    shouted = {"content-type": form.content_type.upper(), "content-encoding": "IDENTITY"}

    wire = build(form).decode(form.write(many(3)), shouted, now_ns=NOW_NS)

    assert isinstance(wire, WireRows)
    assert facts_of(wire) == facts_sent(many(3))


@pytest.mark.parametrize("name", sorted(MAKERS_OF_LINES))
def test_headers_may_be_missing(name: str) -> None:
    """Then it is the protocol's first form; Loki's is compressed."""
    form = FORMS[name]
    body = write_loki_snappy(many(3)) if name == "loki" else form.write(many(3))

    wire = build(form).decode(body, {}, now_ns=NOW_NS)

    assert isinstance(wire, WireRows)
    assert facts_of(wire) == facts_sent(many(3))


@EVERY
def test_an_unknown_encoding_is_415(form: Form) -> None:
    with pytest.raises(BadInput, match="'br'") as refusal:
        decode(form, form.write(many(3)), "br")

    assert refusal.value.status == 415


@EVERY
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_is_read(form: Form, encoding: str) -> None:
    body = compress(encoding, form.write(many(3)))

    assert facts_of(decode(form, body, encoding)) == facts_sent(many(3))


@pytest.mark.parametrize(
    ("form", "encoding"),
    [
        (form, encoding)
        for form in FORMS.values()
        for encoding in ENCODINGS
        if not (form.may_end_early and encoding == "identity")
    ],
)
def test_a_truncated_body_is_400_wherever_it_ends(form: Form, encoding: str) -> None:
    body = compress(encoding, form.write(many(3)))

    for size in range(1, len(body), 7):
        with pytest.raises(BadInput) as refusal:
            decode(form, body[:size], encoding)
        assert refusal.value.status == 400, size


@EVERY
def test_an_empty_body_is_400_unless_it_is_an_empty_message(form: Form) -> None:
    if form.may_end_early:
        assert decode(form, b"") == WireRows(())
        return
    with pytest.raises(BadInput) as refusal:
        decode(form, b"")
    assert refusal.value.status == 400


@EVERY
def test_no_lines_at_all_are_accepted(form: Form) -> None:
    assert decode(form, form.write([])) == WireRows(())


@EVERY
@pytest.mark.parametrize("time_ns", [2**63, 2**63 + 10**18])
def test_one_bad_line_in_a_thousand_costs_itself(form: Form, time_ns: int) -> None:
    sent = many(1000)

    wire = decode(form, form.write([*sent[:500], Sent(time_ns=time_ns), *sent[500:]]))

    assert facts_of(wire) == facts_sent(sent)
    assert [(reject.reason, reject.count) for reject in wire.rejects] == [("timestamp_range", 1)]
    assert len(wire.rejects[0].detail) > 10


@EVERY
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_bomb_is_413_before_it_fills_memory(form: Form, encoding: str) -> None:
    bomb = compress(encoding, b"\x00" * (16 << 20))

    with pytest.raises(TooLarge, match=f"{1 << 20} bytes") as refusal:
        decode(form, bomb, encoding, decompressed_bytes=1 << 20)

    assert refusal.value.status == 413


@EVERY
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_body_at_the_limit_is_read_and_one_byte_more_is_not(form: Form, encoding: str) -> None:
    plain = form.write(many(3))
    body = compress(encoding, plain)

    assert len(facts_of(decode(form, body, encoding, decompressed_bytes=len(plain)))) == 3
    with pytest.raises(TooLarge):
        decode(form, body, encoding, decompressed_bytes=len(plain) - 1)


@EVERY
def test_more_lines_than_allowed_are_413(form: Form) -> None:
    body = form.write(many(11))

    assert len(facts_of(decode(form, body, rows=11))) == 11
    with pytest.raises(TooLarge, match="10 lines, spans or changes"):
        decode(form, body, rows=10)


@EVERY
@pytest.mark.parametrize("text", ["", "x" * (1 << 20), 'a "quoted" \\ line\nof \x1b[31mtwo\x00'])
def test_any_text_is_handed_on_as_it_is(form: Form, text: str) -> None:
    """Whether a line is too long is admission's to say."""
    sent = many(3)
    sent[1] = replace(sent[1], body=text)

    assert facts_of(decode(form, form.write(sent))) == facts_sent(sent)


@EVERY
def test_text_that_is_not_utf8_harms_nobody_else(form: Form) -> None:
    sent = many(4)
    sent[1] = replace(sent[1], body="####")
    body = form.write(sent).replace(b"####", b"\xff\xc0\x80\xed")

    wire = decode(form, body)

    found = facts_of(wire)
    others = [fact for fact in facts_sent(sent) if fact[1] != "####"]
    assert [fact for fact in found if fact in others] == others
    assert len(found) + sum(reject.count for reject in wire.rejects) == 4
    for batch in batches(wire):
        batch.body.data.tobytes().decode()


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

    assert {case.split("/")[1] for case in cases} == MAKERS_OF_LINES
