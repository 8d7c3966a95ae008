"""Laws of the client's small machines: how long it waits, and how a stream becomes changes."""

from __future__ import annotations

import random
from collections.abc import Sequence

import httpx
import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.test_sdk import ANOMALY
from watchkeeper.errors import Permanent
from watchkeeper.sdk.address import address
from watchkeeper.sdk.answers import Change, Rejected, Written
from watchkeeper.sdk.calls import AGAIN, retry_after_s, write
from watchkeeper.sdk.events import EventLines
from watchkeeper.sdk.retry import Outcome, Retry

POLICIES = st.builds(
    Retry,
    attempts=st.integers(1, 12),
    first_s=st.floats(0.01, 5.0),
    longest_s=st.floats(5.0, 60.0),
    chance=st.integers(0, 2**32).map(random.Random),
)
OUTCOMES = st.one_of(
    st.just(httpx.ConnectError("away")),
    st.builds(
        lambda status, after: httpx.Response(status, headers={"retry-after": after}),
        st.sampled_from([*AGAIN, 200, 400, 404, 500]),
        st.sampled_from(["", "0", "3", "1e9", "-1", "nan", "soon"]),
    ),
)


@given(POLICIES, st.integers(1, 14), OUTCOMES)
def test_it_is_tried_again_where_that_can_help_and_as_often_as_is_set(
    policy: Retry, attempt: int, outcome: Outcome
) -> None:
    wait_s = policy.wait_s(attempt, outcome)

    may_help = not isinstance(outcome, httpx.Response) or outcome.status_code in AGAIN
    assert (wait_s is not None) is (may_help and attempt < policy.attempts)


@given(POLICIES, st.integers(1, 11), OUTCOMES)
def test_every_wait_has_bounds_and_is_never_shorter_than_what_is_asked(
    policy: Retry, attempt: int, outcome: Outcome
) -> None:
    wait_s = policy.wait_s(attempt, outcome)
    if wait_s is None:
        return

    asked_s = retry_after_s(outcome) if isinstance(outcome, httpx.Response) else None
    assert policy.first_s <= wait_s <= policy.longest_s * 4 * 1.25
    assert wait_s >= min(asked_s or 0.0, policy.longest_s * 4)


@given(POLICIES)
def test_waits_without_a_word_of_the_server_grow_up_to_the_longest(policy: Retry) -> None:
    away = httpx.ConnectError("away")
    waits = [policy.wait_s(attempt, away) for attempt in range(1, policy.attempts)]

    least = [policy.first_s * 2.0**n for n in range(policy.attempts - 1)]
    for wait_s, grown_s in zip(waits, least, strict=True):
        assert wait_s is not None
        assert min(grown_s, policy.longest_s) <= wait_s <= min(grown_s, policy.longest_s) * 1.25


# Streams

CHANGES = st.lists(st.tuples(st.integers(1, 10**6), st.booleans()), max_size=8)
"""Positions, and whether an anomaly changed or changes were missed."""
NOISE = st.sampled_from([": still here", ": connected", "retry: 10", "what: ever", "odd", ":"])


def lines_of(changes: Sequence[tuple[int, bool]]) -> list[list[str]]:
    """One block of lines per change, as the server writes them."""
    return [
        [
            f"id: {position}",
            "event: anomaly",
            "data: " + msgspec.json.encode(ANOMALY | {"id": f"at-{position}"}).decode(),
            "",
        ]
        if is_change
        else ["event: reset", "data: {}", ""]
        for position, is_change in changes
    ]


def fed(lines: EventLines, *text: str) -> list[Change]:
    return [change for line in text if (change := lines.feed(line)) is not None]


@given(CHANGES, st.lists(NOISE, max_size=6), st.randoms(use_true_random=False))
def test_every_change_is_told_once_in_order_whatever_noise_is_between(
    changes: Sequence[tuple[int, bool]], noise: Sequence[str], chance: random.Random
) -> None:
    text = [line for block in lines_of(changes) for line in block]
    for odd in noise:
        text.insert(chance.randint(0, len(text)), odd)

    told = fed(EventLines(), *text)

    assert [change.anomaly.id if change.anomaly else None for change in told] == [
        f"at-{position}" if is_change else None for position, is_change in changes
    ]


@given(CHANGES, st.integers(0, 40))
def test_a_stream_that_is_cut_anywhere_goes_on_without_loss_or_double(
    changes: Sequence[tuple[int, bool]], cut: int
) -> None:
    """The server goes on behind the last id; what was not whole is told again, whole."""
    changes = [(n + 1, True) for n in range(len(changes))]
    text = [line for block in lines_of(changes) for line in block]
    lines = EventLines()

    told = fed(lines, *text[:cut])
    lines.cut()
    n_whole = len(told)
    resumed = [line for block in lines_of(changes[n_whole:]) for line in block]
    told += fed(lines, *resumed)

    assert [change.position for change in told] == [str(position) for position, _ in changes]


def test_data_over_several_lines_is_joined() -> None:
    """As the standard of server-sent events has it; a proxy may fold long lines."""
    pieces = msgspec.json.encode(ANOMALY).decode().replace(",", ",\n").split("\n")

    told = fed(EventLines(), "event: anomaly", *(f"data: {piece}" for piece in pieces), "")

    assert len(pieces) > 5
    assert [change.anomaly.id for change in told if change.anomaly] == ["a1"]


# What a server says of a write

REASONS = st.sampled_from(["too_old", "future", "conflict", "stale"])
DETAILS = st.text(st.characters(categories=["L", "N", "P", "Zs"], exclude_characters="()"))
REJECTED = st.lists(
    st.builds(Rejected, REASONS, st.integers(1, 10**6), DETAILS.map(str.strip)), min_size=1,
    max_size=4,
)  # fmt: skip


@given(st.integers(0, 10**6), REJECTED)
def test_what_the_server_says_of_a_part_is_read_as_it_was_meant(
    n_accepted: int, rejected: list[Rejected]
) -> None:
    said = "; ".join(
        f"{one.count} samples: {one.reason}" + (f" ({one.detail})" if one.detail else "")
        for one in rejected
    )
    answer = httpx.Response(400, text=f"{n_accepted} samples accepted; not accepted: {said}")

    assert write([]).read(answer) == Written(n_accepted, tuple(rejected))


# Addresses


@given(st.text(max_size=30))
@example("http://")
@example("http://[::1")
@example("http://u:p@")
@example("file:///etc/passwd")
@example("http://a:99999999")
def test_no_text_is_an_address_by_mistake(text: str) -> None:
    """It has a scheme and a host, or it is refused in our words, without what may be secret."""
    try:
        found = address(text)
    except Permanent as refused:
        assert "write http://host:port" in str(refused)  # noqa: PT017 - most texts end here
        return

    url = httpx.URL(found.url)
    assert url.scheme in ("http", "https")
    assert url.host
    assert not url.userinfo


@given(
    st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    st.from_regex(r"[a-zA-Z0-9]{8,12}", fullmatch=True),
    st.integers(1, 65535),
)
def test_an_address_is_shown_without_its_password(name: str, password: str, port: int) -> None:
    found = address(f"https://{name}:{password}@host:{port}/base/")

    assert found.url == str(httpx.URL(f"https://host:{port}/base"))
    assert password not in found.url + repr(found)
    assert found.auth is not None
