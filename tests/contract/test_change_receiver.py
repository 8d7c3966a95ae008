"""What every receiver of changes promises: records of what changed, and answers to faults."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from tests.conftest import Golden, golden_cases
from watchkeeper import plugins
from watchkeeper.errors import BadInput, TooLarge
from watchkeeper.ingest.receivers.base import Receiver
from watchkeeper.ingest.receivers.limits import RowLimits
from watchkeeper.model import wire as log_wire
from watchkeeper.model.change import Change
from watchkeeper.model.signal import WireRows

NOW_NS = 1_767_607_200 * 1_000_000_000
MAKERS_OF_CHANGES = sorted(
    name
    for name in plugins.BUILTIN["receiver"]
    if plugins.load("receiver", name).makes == "changes"
)
PLAIN = [name for name in MAKERS_OF_CHANGES if name in ("changes_json", "deployment")]
EVERY = pytest.mark.parametrize("name", PLAIN)
"""Plain JSON. What is of CloudEvents alone is in test_cloudevents."""
JSON = {"content-type": "application/json"}
HEADERS = {"cloudevents": {"content-type": "application/cloudevents+json"}}
LISTED_UNDER = {"deployment": "deployments", "changes_json": "changes"}
ONE = {"service": "shop", "version": "1.2", "timestamp": 1_767_607_200, "status": "success"}


def decode(name: str, sent: Any, headers: Mapping[str, str] = JSON, **limits: int) -> WireRows:
    receiver: Receiver = plugins.load("receiver", name)(RowLimits(**limits))
    body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    wire = receiver.decode(body, headers, now_ns=NOW_NS)
    assert isinstance(wire, WireRows)
    return wire


def changes_of(wire: WireRows) -> list[Change]:
    found = [record for record in wire.records if isinstance(record, Change)]
    assert len(found) == len(wire.records)
    return found


def identity(name: str, **fields: Any) -> str:
    (change,) = changes_of(decode(name, {**ONE, **fields}))
    return change.id


@EVERY
@pytest.mark.parametrize("form", ["one", "list", "listed"])
def test_a_change_comes_alone_or_in_a_list(name: str, form: str) -> None:
    body: Any = {"one": ONE, "list": [ONE], "listed": {LISTED_UNDER[name]: [ONE]}}[form]

    wire = decode(name, body)

    (change,) = changes_of(wire)
    assert (change.kind, change.service, change.version) == ("deployment", "shop", "1.2")
    assert (change.time_ns, change.status) == (NOW_NS, "success")
    assert wire.rejects == ()
    assert not wire.is_of_now


@EVERY
def test_a_change_told_again_with_another_status_is_the_same(name: str) -> None:
    assert identity(name) == identity(name, status="failed")


@EVERY
@pytest.mark.parametrize(
    "other", [{"service": "pay"}, {"version": "1.3"}, {"timestamp": 1_767_607_201}]
)
def test_another_change_has_another_id(name: str, other: dict[str, Any]) -> None:
    assert identity(name) != identity(name, **other)


def test_fields_that_run_together_give_other_ids() -> None:
    assert identity("deployment", service="a", version="bc") != identity(
        "deployment", service="ab", version="c"
    )


def test_both_receivers_agree_on_the_id_of_a_deployment() -> None:
    assert identity("deployment") == identity("changes_json")


def test_an_id_of_the_sender_is_kept() -> None:
    assert identity("changes_json", id="release-7") == "release-7"


@EVERY
def test_a_change_without_a_time_is_of_now_and_no_retry(name: str) -> None:
    wire = decode(name, {"service": "shop"})

    assert [change.time_ns for change in changes_of(wire)] == [NOW_NS]
    assert wire.is_of_now


@EVERY
def test_one_bad_item_among_good_ones_costs_itself(name: str) -> None:
    wire = decode(name, [ONE, {"version": "of nothing"}, {**ONE, "version": "3"}])

    assert [change.version for change in changes_of(wire)] == ["1.2", "3"]
    assert [(reject.reason, reject.count) for reject in wire.rejects] == [("bad_item", 1)]
    assert wire.rejects[0].detail.startswith("item 1: ")


@EVERY
@pytest.mark.parametrize(
    "body", [b"", b"{", b"7", b'"x"', b"\xff" * 9, b'{"deployments": 1, "changes": 1}']
)
def test_what_is_no_list_of_changes_is_400(name: str, body: bytes) -> None:
    with pytest.raises(BadInput) as refusal:
        decode(name, body)

    assert refusal.value.status == 400


@EVERY
def test_no_changes_at_all_are_accepted(name: str) -> None:
    assert decode(name, []) == WireRows(())


@EVERY
@pytest.mark.parametrize(
    "header", [{"content-type": "text/plain"}, {**JSON, "content-encoding": "br"}]
)
def test_an_unknown_form_of_body_is_415(name: str, header: dict[str, str]) -> None:
    with pytest.raises(BadInput) as refusal:
        plugins.load("receiver", name)().decode(b"[]", header, now_ns=NOW_NS)

    assert refusal.value.status == 415


@EVERY
def test_a_compressed_body_is_read(name: str) -> None:
    body = gzip.compress(json.dumps(ONE).encode())

    wire = plugins.load("receiver", name)().decode(
        body, {**JSON, "content-encoding": "gzip"}, now_ns=NOW_NS
    )

    assert changes_of(wire) == changes_of(decode(name, ONE))


@EVERY
def test_more_changes_than_allowed_are_413(name: str) -> None:
    assert len(decode(name, [ONE] * 3, rows=3).records) == 3
    with pytest.raises(TooLarge):
        decode(name, [ONE] * 4, rows=3)


@EVERY
def test_a_change_survives_the_log_and_another_process(name: str) -> None:
    (change,) = changes_of(decode(name, ONE))

    assert pickle.loads(pickle.dumps(change)) == change
    assert log_wire.decode(log_wire.encode(change)) == change


@pytest.mark.parametrize(
    "case", [case for case in golden_cases(__file__) if case.startswith("change_receivers/")]
)
def test_golden_bodies_are_read_as_reviewed(case: str, golden: Golden) -> None:
    _, name, _ = case.split("/")

    golden.check(case, rendered(decode(name, golden.given(case), HEADERS.get(name, JSON))))


def rendered(wire: WireRows) -> str:
    """A paragraph for each change and a line for each reject."""
    lines = []
    for change in changes_of(wire):
        lines += [
            f"{change.time_ns} {change.kind} {change.service} {change.version!r} {change.status!r}",
            f"  id {change.id}",
            f"  by {change.actor!r}: {change.summary!r}",
            f"  details {json.dumps(dict(change.details))}",
        ]
    lines += [f"rejected {one.count}: {one.reason}: {one.detail}" for one in wire.rejects]
    lines += ["of now"] if wire.is_of_now else []
    return "\n".join([*lines, ""])


def test_golden_files_are_there_for_every_receiver() -> None:
    cases = [case for case in golden_cases(__file__) if case.startswith("change_receivers/")]

    found = {case.split("/")[1] for case in cases}
    assert sorted(found | {"git_webhook"}) == MAKERS_OF_CHANGES
