"""Receivers of rows as tests see them: forms of lines and of spans, alike in what they promise."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cramjam

from tests import log_senders, span_senders
from watchkeeper import plugins
from watchkeeper.ingest.receivers.base import Receiver
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.model.signal import WireRows

NOW_NS = log_senders.NOW_NS
ENCODINGS = ("identity", "gzip", "zstd", "deflate")
Form = log_senders.Form | span_senders.Form


@dataclass(frozen=True)
class Sender:
    """A form, what may be written in it, and what must come of that."""

    form: Form
    write: Callable[[Sequence[Any]], bytes]
    given: Callable[[int], list[Any]]
    """So many rows that it can tell apart."""
    bad: Any
    """A row that costs itself."""
    text: str
    """The field that holds a row's searched text."""
    facts_sent: Callable[[Sequence[Any]], list[Any]]
    facts_of: Callable[[WireRows], list[Any]]
    empty_is_sound: bool

    def decode(self, body: bytes, encoding: str = "identity", **limits: int) -> WireRows:
        return decode(self.form, body, encoding, **limits)


def _of_lines(form: log_senders.Form) -> Sender:
    return Sender(
        form, form.write, log_senders.many, log_senders.Sent(time_ns=2**63), "body",
        log_senders.facts_sent, log_senders.facts_of, form.may_end_early,
    )  # fmt: skip


def _of_spans(form: span_senders.Form) -> Sender:
    return Sender(
        form, form.write, form.given, form.bad, "name",
        span_senders.facts_sent, span_senders.facts_of, form.empty_is_sound,
    )  # fmt: skip


SENDERS: Mapping[str, Sender] = {
    **{name: _of_lines(form) for name, form in log_senders.FORMS.items()},
    **{name: _of_spans(form) for name, form in span_senders.FORMS.items()},
}


def makers_of(noun: str) -> set[str]:
    """The names of all receivers that make such rows."""
    return {
        name for name in plugins.BUILTIN["receiver"] if plugins.load("receiver", name).makes == noun
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
