"""What every receiver of rows promises, be they lines or spans: an answer to every fault."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from tests.log_senders import write_loki_snappy
from tests.row_receivers import ENCODINGS, NOW_NS, SENDERS, Sender, build, compress, makers_of
from watchkeeper.errors import BadInput, TooLarge
from watchkeeper.model import wire as log_wire
from watchkeeper.model.signal import WireRows

EVERY = pytest.mark.parametrize("sender", SENDERS.values(), ids=SENDERS)
WHOLE = pytest.mark.parametrize(
    "sender", [one for name, one in SENDERS.items() if name != "logs_json as lines"]
)
"""Of lines of JSON each stands for itself."""
MAKERS = makers_of("lines") | makers_of("spans")


def test_the_suite_runs_over_every_receiver_of_rows() -> None:
    assert {sender.form.receiver for sender in SENDERS.values()} == MAKERS


@EVERY
def test_what_is_sent_comes_out(sender: Sender) -> None:
    sent = sender.given(5)

    wire = sender.decode(sender.write(sent))

    assert sender.facts_of(wire) == sender.facts_sent(sent)
    assert wire.rejects == ()
    assert not wire.is_of_now


@EVERY
def test_columns_are_of_their_types_and_of_one_length(sender: Sender) -> None:
    (batch,) = sender.decode(sender.write(sender.given(5))).records

    for name, column in batch.COLUMNS.items():
        values = getattr(batch, name)
        assert values.dtype == column.kind, name
        assert values.shape == ((5,) if column.width == 1 else (5, column.width)), name
        assert values.flags.c_contiguous
    assert {len(getattr(batch, name)) for name in batch.TEXTS} == {5}
    assert batch.origin.max() < len(batch.origins)


@EVERY
def test_a_batch_survives_the_log_and_another_process(sender: Sender) -> None:
    wire = sender.decode(sender.write(sender.given(5)))

    from_process = pickle.loads(pickle.dumps(wire))
    from_log = [log_wire.decode(log_wire.encode(record)) for record in wire.records]

    assert sender.facts_of(from_process) == sender.facts_of(wire)
    assert sender.facts_of(WireRows(tuple(from_log))) == sender.facts_of(wire)  # type: ignore[arg-type]


@EVERY
def test_equal_bodies_give_equal_batches(sender: Sender) -> None:
    body = sender.write(sender.given(5))

    first, again = (sender.decode(body).records[0] for _ in range(2))

    assert log_wire.encode(first) == log_wire.encode(again)


@EVERY
def test_rows_of_one_place_share_their_origin(sender: Sender) -> None:
    (one,) = sender.given(1)
    sent = [replace(one, **{sender.text: f"row {k}"}) for k in range(6)]

    (batch,) = sender.decode(sender.write(sent)).records

    assert len(batch.origins) == 1


@EVERY
def test_what_was_handed_out_is_not_touched_by_later_bodies(sender: Sender) -> None:
    receiver = build(sender.form)
    headers = {**sender.form.headers, "content-encoding": "gzip"}
    body = compress("gzip", sender.write(sender.given(40)))
    later = compress("gzip", sender.write(sender.given(60)[40:]))

    first = receiver.decode(body, headers, now_ns=NOW_NS)
    receiver.decode(later, headers, now_ns=NOW_NS)

    assert isinstance(first, WireRows)
    assert sender.facts_of(first) == sender.facts_sent(sender.given(40))


@WHOLE
def test_a_refused_body_leaves_the_receiver_as_it_was(sender: Sender) -> None:
    receiver = build(sender.form)
    headers = {**sender.form.headers, "content-encoding": "identity"}
    body = sender.write(sender.given(3))
    for broken in (body[:-1], b"\xff" * 40):
        with pytest.raises(BadInput):
            receiver.decode(broken, headers, now_ns=NOW_NS)

    wire = receiver.decode(body, headers, now_ns=NOW_NS)

    assert isinstance(wire, WireRows)
    assert sender.facts_of(wire) == sender.facts_sent(sender.given(3))


@EVERY
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_wrong_content_type_is_415(sender: Sender, content_type: str) -> None:
    body = sender.write(sender.given(3))

    with pytest.raises(BadInput, match=content_type) as refusal:
        build(sender.form).decode(body, {"content-type": content_type}, now_ns=NOW_NS)

    assert refusal.value.status == 415


@EVERY
def test_headers_may_be_in_any_case(sender: Sender) -> None:
    form = sender.form
    shouted = {"content-type": form.content_type.upper(), "content-encoding": "IDENTITY"}

    wire = build(form).decode(sender.write(sender.given(3)), shouted, now_ns=NOW_NS)

    assert isinstance(wire, WireRows)
    assert sender.facts_of(wire) == sender.facts_sent(sender.given(3))


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_headers_may_be_missing(name: str) -> None:
    """Then it is the protocol's first form; Loki's is compressed."""
    sender = SENDERS[name]
    write = write_loki_snappy if name == "loki" else sender.write

    wire = build(sender.form).decode(write(sender.given(3)), {}, now_ns=NOW_NS)

    assert isinstance(wire, WireRows)
    assert sender.facts_of(wire) == sender.facts_sent(sender.given(3))


@EVERY
def test_an_unknown_encoding_is_415(sender: Sender) -> None:
    with pytest.raises(BadInput, match="'br'") as refusal:
        sender.decode(sender.write(sender.given(3)), "br")

    assert refusal.value.status == 415


@EVERY
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_is_read(sender: Sender, encoding: str) -> None:
    body = compress(encoding, sender.write(sender.given(3)))

    wire = sender.decode(body, encoding)

    assert sender.facts_of(wire) == sender.facts_sent(sender.given(3))


@pytest.mark.parametrize(
    ("sender", "encoding"),
    [
        pytest.param(sender, encoding, id=f"{name}-{encoding}")
        for name, sender in SENDERS.items()
        for encoding in ENCODINGS
        if not (sender.form.may_end_early and encoding == "identity")
    ],
)
def test_a_truncated_body_is_400_wherever_it_ends(sender: Sender, encoding: str) -> None:
    body = compress(encoding, sender.write(sender.given(3)))

    for size in range(1, len(body), 7):
        with pytest.raises(BadInput) as refusal:
            sender.decode(body[:size], encoding)
        assert refusal.value.status == 400, size


@EVERY
def test_an_empty_body_is_400_unless_it_is_an_empty_message(sender: Sender) -> None:
    if sender.empty_is_sound:
        assert sender.decode(b"") == WireRows(())
        return
    with pytest.raises(BadInput) as refusal:
        sender.decode(b"")
    assert refusal.value.status == 400


@EVERY
def test_no_rows_at_all_are_accepted(sender: Sender) -> None:
    assert sender.decode(sender.write([])) == WireRows(())


@EVERY
def test_one_bad_row_in_a_thousand_costs_itself(sender: Sender) -> None:
    sent = sender.given(1000)

    wire = sender.decode(sender.write([*sent[:500], sender.bad, *sent[500:]]))

    assert sender.facts_of(wire) == sender.facts_sent(sent)
    assert [reject.count for reject in wire.rejects] == [1]
    assert wire.rejects[0].reason.isidentifier(), "it is a metric's label"
    assert len(wire.rejects[0].detail) > 10


@EVERY
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_bomb_is_413_before_it_fills_memory(sender: Sender, encoding: str) -> None:
    bomb = compress(encoding, b"\x00" * (16 << 20))

    with pytest.raises(TooLarge, match=f"{1 << 20} bytes") as refusal:
        sender.decode(bomb, encoding, decompressed_bytes=1 << 20)

    assert refusal.value.status == 413


@EVERY
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_body_at_the_limit_is_read_and_one_byte_more_is_not(
    sender: Sender, encoding: str
) -> None:
    plain = sender.write(sender.given(3))
    body = compress(encoding, plain)

    wire = sender.decode(body, encoding, decompressed_bytes=len(plain))

    assert len(sender.facts_of(wire)) == 3
    with pytest.raises(TooLarge):
        sender.decode(body, encoding, decompressed_bytes=len(plain) - 1)


@EVERY
def test_more_rows_than_allowed_are_413(sender: Sender) -> None:
    body = sender.write(sender.given(11))

    assert len(sender.facts_of(sender.decode(body, rows=11))) == 11
    with pytest.raises(TooLarge, match="10 lines, spans or the like"):
        sender.decode(body, rows=10)


@EVERY
def test_a_megabyte_of_text_is_handed_on_whole(sender: Sender) -> None:
    """Whether a row is too long is admission's to say."""
    sent = sender.given(3)
    sent[1] = replace(sent[1], **{sender.text: "x" * (1 << 20)})

    assert sender.facts_of(sender.decode(sender.write(sent))) == sender.facts_sent(sent)


@EVERY
def test_text_that_is_not_utf8_harms_nobody_else(sender: Sender) -> None:
    sent = sender.given(4)
    sent[1] = replace(sent[1], **{sender.text: "####"})
    body = sender.write(sent).replace(b"####", b"\xff\xc0\x80\xed")

    wire = sender.decode(body)

    found = sender.facts_of(wire)
    others = sender.facts_sent([sent[0], *sent[2:]])
    assert [fact for fact in found if fact in others] == others
    assert len(found) + sum(reject.count for reject in wire.rejects) == 4
    for batch in wire.records:
        getattr(batch, sender.text).data.tobytes().decode()
