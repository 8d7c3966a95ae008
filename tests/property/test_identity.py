"""What a series is called: equal for equal labels however they come, different for all others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from tests.make import START_NS
from watchkeeper.compiled.hashing import fast_hash128, siphash128
from watchkeeper.compiled.memory import padded
from watchkeeper.errors import BadInput
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.lake.series_rules import derive
from watchkeeper.model.series import DEFAULT_TENANT, Matcher, MatchOp, TenantId

KEY = bytes(range(16))
MASK = 2**64 - 1
CONFIG = CatalogConfig(max_series=200, max_donors=20, replica_labels=("r",))

# Few names and values, and such that run into each other: what differs may look alike.
NAMES = st.text("ab\0\n=,r", min_size=1, max_size=3)
VALUES = st.text("ab\0\n=,\U0001f600é", max_size=4)
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=5, unique_by=lambda pair: pair[0])
TENANTS = st.sampled_from(["default", "a", "ab", "a\0"])
LABELS = PAIRS.map(lambda pairs: [("__name__", "m"), *pairs])


def catalog() -> Catalog:
    return Catalog(KEY, CONFIG, Enrich())


def canonical(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    kept = [(name, value) for name, value in pairs if value and name != "r"]
    return sorted(kept, key=lambda pair: pair[0].encode())


def identify(known: Catalog, tenant: str, *series: Sequence[tuple[str, str]]) -> list[bytes]:
    wire = make.wire(series, [(row, START_NS, 0.0) for row in range(len(series))])
    slots = known.resolve(TenantId(tenant), wire, START_NS).slots
    return [known.identity[slot].tobytes() for slot in slots]


@given(LABELS, st.randoms(use_true_random=False), TENANTS)
def test_order_sender_and_process_do_not_matter(
    pairs: list[tuple[str, str]], random: object, tenant: str
) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    here = identify(catalog(), tenant, pairs)
    there = identify(catalog(), tenant, [*shuffled, ("empty", ""), ("r", "replica")])

    assert here == there


@given(LABELS, LABELS, TENANTS, TENANTS)
def test_other_labels_or_tenants_are_other_series(
    left: list[tuple[str, str]], right: list[tuple[str, str]], mine: str, yours: str
) -> None:
    known = catalog()

    same = identify(known, mine, left) == identify(known, yours, right)

    assert same == ((mine, canonical(left)) == (yours, canonical(right)))


@given(LABELS, TENANTS)
def test_the_identity_is_siphash_of_the_canonical_labels_under_a_key_of_the_tenant(
    pairs: list[tuple[str, str]], tenant: str
) -> None:
    low, high = (int.from_bytes(KEY[i : i + 8], "little") for i in (0, 8))
    key = plain_siphash128(b"identity\0" + tenant.encode(), low, high)
    expected = plain_siphash128(make.label_run(canonical(pairs)), *key)

    (identity,) = identify(catalog(), tenant, pairs)

    assert identity == b"".join(word.to_bytes(8, "little") for word in expected)


def test_another_installation_has_other_identities() -> None:
    other = Catalog(bytes(16), CONFIG, Enrich())

    assert identify(catalog(), "a", [("__name__", "m")]) != identify(
        other, "a", [("__name__", "m")]
    )


def test_an_identity_stays_what_it_was() -> None:
    """Segments on disk are named by it: if this changes, all that is stored belongs to nobody."""
    (identity,) = identify(catalog(), "default", [("__name__", "up"), ("job", "shop")])

    assert identity.hex() == "411f7780dd5640f3d751d0010965f6bc"


@given(st.lists(st.lists(LABELS, min_size=1, max_size=6), min_size=1, max_size=5), TENANTS)
@settings(max_examples=30, deadline=None)
def test_replaying_the_records_rebuilds_the_catalog(
    bodies: list[list[list[tuple[str, str]]]], tenant: str
) -> None:
    known, twin = catalog(), catalog()
    for series in bodies:
        wire = make.wire(series, [(row, START_NS, 0.0) for row in range(len(series))])
        resolved = known.resolve(TenantId(tenant), wire, START_NS)
        if resolved.new is not None:
            twin.replay(resolved.new)
            twin.replay(resolved.new)

    assert twin.high_slot == known.high_slot == known.n_active == twin.n_active
    for slot in range(known.high_slot):
        assert twin.series(slot) == known.series(slot)
        assert twin.role[slot] == known.role[slot]
        assert twin.partition[slot] == known.partition[slot]
    fresh = [[*pairs, ("pod", "new")] for pairs in bodies[0]]
    wire = make.wire(fresh, [(row, START_NS, 0.0) for row in range(len(fresh))])
    ours, theirs = (one.resolve(TenantId(tenant), wire, START_NS) for one in (known, twin))
    assert ours.slots.tolist() == theirs.slots.tolist()
    if ours.new is not None and theirs.new is not None:
        assert ours.new.donor.tolist() == theirs.new.donor.tolist()


PATTERNS = st.sampled_from(["a", "a|b", ".*", ".+", "a.*", "[ab]+", "", "a|", "(a|b)=", "é?a+"])
MATCHERS = st.lists(
    st.builds(
        Matcher,
        st.one_of(NAMES, st.just("__name__")),
        st.sampled_from(MatchOp),
        st.one_of(VALUES, PATTERNS),
    ),
    max_size=3,
)


@given(st.lists(LABELS, max_size=12), MATCHERS)
def test_select_finds_what_looking_at_every_series_finds(
    series: list[list[tuple[str, str]]], matchers: list[Matcher]
) -> None:
    known = catalog()
    identify(known, "a", *series)
    identify(known, "b", *series)
    expected = [
        slot
        for slot in range(known.high_slot)
        if known.tenant_of(slot) == "a" and fits(known.series(slot).labels, matchers)
    ]

    assert known.select(TenantId("a"), matchers).tolist() == expected


def fits(labels: object, matchers: Sequence[Matcher]) -> bool:
    for matcher in matchers:
        value = dict(labels).get(matcher.name, "")  # type: ignore[call-overload]
        if matcher.op in (MatchOp.REGEX, MatchOp.NOT_REGEX):
            found = re.fullmatch(matcher.value, value, re.DOTALL) is not None
        else:
            found = value == matcher.value
        if found == (matcher.op in (MatchOp.NOT_EQUAL, MatchOp.NOT_REGEX)):
            return False
    return True


@given(st.text(max_size=20))
def test_any_pattern_is_taken_or_refused_as_bad_input(pattern: str) -> None:
    known = catalog()
    identify(known, "a", [("__name__", "m")])

    with suppress(BadInput):
        assert len(known.select(TenantId("a"), [Matcher("n", MatchOp.REGEX, pattern)])) <= 1


HOURS = st.integers(0, 6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.lists(LABELS, min_size=1, max_size=4)),
        st.tuples(st.just("recycle"), HOURS),
        st.tuples(st.just("replay"), st.none()),
    ),
    max_size=12,
)


@given(STEPS)
def test_recycling_never_loses_a_living_series(steps: list[tuple[str, object]]) -> None:
    """And a replay of all records, at any time, has every living series in its slot."""
    hour_ns = 3600 * make.NS_PER_S
    known, records = catalog(), []
    seen_h: dict[tuple[tuple[str, str], ...], int] = {}
    hour = 0
    for step, what in steps:
        now_ns = START_NS + hour * hour_ns
        if step == "send" and isinstance(what, list):
            wire = make.wire(what, [(row, now_ns, 0.0) for row in range(len(what))])
            resolved = known.resolve(DEFAULT_TENANT, wire, now_ns)
            known.last_seen_ns[resolved.slots] = now_ns
            if resolved.new is not None:
                records.append(resolved.new)
            seen_h.update(dict.fromkeys((tuple(canonical(pairs)) for pairs in what), hour))
        elif step == "recycle" and isinstance(what, int):
            hour += what
            known.recycle(START_NS + hour * hour_ns, 2.5 * 3600)
            seen_h = check_living(known, seen_h, hour)
        else:
            twin = catalog()
            for record in records:
                twin.replay(replace(record))
            for slot in known.select(DEFAULT_TENANT, ()).tolist():
                assert twin.series(slot) == known.series(slot)


def check_living(
    known: Catalog, seen_h: dict[tuple[tuple[str, str], ...], int], hour: int
) -> dict[tuple[tuple[str, str], ...], int]:
    """All that were seen lately are there; of the others nothing but donors is."""
    slots = known.select(DEFAULT_TENANT, ())
    here = {tuple(labels.items()) for labels in known.labels(slots)}
    assert len(here) == len(slots)
    assert {pairs for pairs, seen in seen_h.items() if hour - seen < 2.5} <= here <= seen_h.keys()
    assert len({int(known.role[slot]) for slot in slots}) >= len(here - {
        pairs for pairs, seen in seen_h.items() if hour - seen < 2.5
    })  # fmt: skip
    assert (known.lookup(known.identity[slots]) == slots).all()
    return {pairs: seen for pairs, seen in seen_h.items() if pairs in here}


def plain_siphash128(message: bytes, key0: int, key1: int) -> tuple[int, int]:
    """SipHash-2-4 with 128 bits, as its paper writes it down."""
    v = [
        key0 ^ 0x736F6D6570736575,
        key1 ^ 0x646F72616E646F6D ^ 0xEE,
        key0 ^ 0x6C7967656E657261,
        key1 ^ 0x7465646279746573,
    ]
    ended = message + bytes(7 - len(message) % 8) + bytes((len(message) & 255,))
    for at in range(0, len(ended), 8):
        word = int.from_bytes(ended[at : at + 8], "little")
        v[3] ^= word
        rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xEE
    rounds(v, 4)
    low = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    rounds(v, 4)
    return low, v[0] ^ v[1] ^ v[2] ^ v[3]


def rounds(v: list[int], n: int) -> None:
    def rotated(word: int, bits: int) -> int:
        return (word << bits | word >> (64 - bits)) & MASK

    for _ in range(n):
        v[0] = (v[0] + v[1]) & MASK
        v[1] = rotated(v[1], 13) ^ v[0]
        v[0] = rotated(v[0], 32)
        v[2] = (v[2] + v[3]) & MASK
        v[3] = rotated(v[3], 16) ^ v[2]
        v[0] = (v[0] + v[3]) & MASK
        v[3] = rotated(v[3], 21) ^ v[0]
        v[2] = (v[2] + v[1]) & MASK
        v[1] = rotated(v[1], 17) ^ v[2]
        v[2] = rotated(v[2], 32)


VECTORS = {  # of the authors' reference implementation: key 00..0f, message 00 01 02 ...
    0: "a3817f04ba25a8e66df67214c7550293",
    1: "da87c1d86b99af44347659119b22fc45",
    2: "8177228da4a45dc7fca38bdef60affe4",
    3: "9c70b60c5267a94e5f33b6b02985ed51",
    4: "f88164c12d9c8faf7d0f6e7c7bcd5579",
    15: "5493e99933b0a8117e08ec0f97cfc3d9",
}


@pytest.mark.parametrize(("size", "wanted"), VECTORS.items())
def test_siphash_gives_the_published_values(size: int, wanted: str) -> None:
    message = bytes(range(size))
    key0, key1 = (int.from_bytes(KEY[i : i + 8], "little") for i in (0, 8))

    found = derive((key0, key1), message)

    assert b"".join(word.to_bytes(8, "little") for word in found).hex() == wanted
    assert found == plain_siphash128(message, key0, key1)


@given(st.binary(max_size=100), st.integers(0, MASK), st.integers(0, MASK), st.integers(0, 20))
def test_compiled_siphash_is_the_plain_one_wherever_the_bytes_lie(
    message: bytes, key0: int, key1: int, offset: int
) -> None:
    buffer = padded(b"x" * offset + message + b"behind")
    end = offset + len(message)

    low, high = siphash128(buffer, offset, end, np.uint64(key0), np.uint64(key1))

    assert (int(low), int(high)) == plain_siphash128(message, key0, key1)


@given(st.binary(max_size=100), st.integers(0, MASK), st.integers(0, 20))
def test_the_fast_hash_depends_on_the_bytes_alone(message: bytes, seed: int, offset: int) -> None:
    here = fast_hash128(padded(message), 0, len(message), np.uint64(seed))
    buffer = padded(b"x" * offset + message + b"behind")

    there = fast_hash128(buffer, offset, offset + len(message), np.uint64(seed))

    assert tuple(map(int, here)) == tuple(map(int, there))


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(0, MASK))
def test_the_fast_hash_tells_bytes_and_seeds_apart(left: bytes, right: bytes, seed: int) -> None:
    hashes = {
        tuple(map(int, fast_hash128(padded(run), 0, len(run), np.uint64(s))))
        for run in (left, right)
        for s in (seed, seed ^ 1)
    }

    assert len(hashes) == 2 * len({left, right})
