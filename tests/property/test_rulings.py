"""What people decided, in any order and with any restart between: as a list of it all would say."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import make
from tests.make import NS_PER_S, START_NS
from watchkeeper.analyze import feedback
from watchkeeper.analyze.maintenance import Subject, Windows
from watchkeeper.analyze.rulings import Rulings, without_settings
from watchkeeper.model.anomaly import AnomalyId
from watchkeeper.model.ruling import DetectionSet, Maintenance, Verdict, Word

OF = make.anomaly()
SUBJECT = Subject(OF.tenant, OF.entity, OF.labels)
SUBJECTS = ("aa" * 16, "bb" * 16)
FEW = settings(max_examples=20, deadline=None)
PARTITIONS = st.sampled_from([[0], [1], [0, 1]])

SETTINGS = st.builds(
    lambda document, expected: make.settings(document, expected=expected),
    st.sampled_from(["a", "b", ""]),
    st.none() | st.integers(0, 3),
)
VERDICTS = st.builds(
    lambda word, anomaly, principal, subject, partition: make.verdict(
        word,
        anomaly=AnomalyId(anomaly),
        principal=principal,
        subject=subject,
        partition=partition,
    ),
    st.sampled_from(Word),
    st.sampled_from(["x", "y"]),
    st.sampled_from(["user:a", "user:b"]),
    st.sampled_from(SUBJECTS),
    st.integers(0, 1),
)
WINDOWS = st.builds(
    lambda name, begin, lasts, service: make.maintenance(
        id=name,
        from_ns=START_NS + begin,
        to_ns=START_NS + begin + lasts,
        reason=f"{name} at {begin}",
        match={"service": service},
    ),
    st.sampled_from(["m1", "m2"]),
    st.integers(0, 5),
    st.integers(0, 5),
    st.sampled_from(["checkout", "check*", "cart"]),
)
RECORD = st.tuples(st.one_of(SETTINGS, VERDICTS, WINDOWS), PARTITIONS)
RECORDS = st.lists(RECORD, max_size=20)
Records = Sequence[tuple[DetectionSet | Verdict | Maintenance, list[int]]]


def told(rulings: Rulings, records: Records) -> Rulings:
    for record, partitions in records:
        match record:
            case DetectionSet():
                rulings.settle(record, partitions)
            case Maintenance():
                rulings.hold(record, partitions)
            case Verdict():
                rulings.note(record)
    return rulings


def restarted(rulings: Rulings) -> Rulings:
    again = Rulings()
    for partition in (0, 1):
        again.load(partition, rulings.dump(partition))
    return again


def newest(records: Records, partition: int, subject: str) -> list[Verdict]:
    """Of each principal and anomaly."""
    said = {
        (one.anomaly, one.principal): one
        for one, _ in records
        if isinstance(one, Verdict) and (one.partition, one.subject) == (partition, subject)
    }
    return list(said.values())


def muted(rulings: Rulings, began_ns: int, partition: int = 0) -> str:
    return rulings.muted(
        partition,
        SUBJECTS[0],
        SUBJECT,
        detector=OF.detector,
        began_ns=began_ns,
        windows=Windows(),
    )


@FEW
@given(RECORDS)
def test_the_limit_of_a_series_is_that_of_the_newest_verdicts(records: Records) -> None:
    rulings = told(Rulings(), records)

    for partition in (0, 1):
        for subject in SUBJECTS:
            said = newest(records, partition, subject)
            assert rulings.shift(partition, subject) == feedback.shift(said)
            assert (subject in rulings.judged(partition)) == bool(feedback.in_force(said))


@FEW
@given(RECORDS)
def test_the_settings_in_force_are_the_last_that_followed(records: Records) -> None:
    rulings = told(Rulings(), records)

    for partition in (0, 1):
        version, document = 0, ""
        for record, partitions in records:
            fits = isinstance(record, DetectionSet) and partition in partitions
            if fits and isinstance(record, DetectionSet) and record.expected in (None, version):
                version, document = version + 1, record.document
        assert (rulings.version(partition), rulings.document(partition)) == (version, document)


@FEW
@given(RECORDS, st.integers(-1, 11))
def test_a_window_mutes_as_it_was_told_last(records: Records, after: int) -> None:
    rulings = told(Rulings(), [one for one in records if not isinstance(one[0], Verdict)])
    began_ns = START_NS + after

    for partition in (0, 1):
        last = {
            one.id: one
            for one, partitions in records
            if isinstance(one, Maintenance) and partition in partitions
        }
        holding = {
            f"maintenance: {one.reason}"
            for one in last.values()
            if one.from_ns <= began_ns < one.to_ns and one.match["service"] != "cart"
        }
        said = muted(rulings, began_ns, partition)
        assert said in holding if holding else said == ""


@FEW
@given(RECORDS, st.integers(0, 20))
def test_a_restart_at_any_record_changes_nothing(records: Records, at: int) -> None:
    whole = told(Rulings(), records)

    parts = told(restarted(told(Rulings(), records[:at])), records[at:])

    for partition in (0, 1):
        assert parts.dump(partition) == whole.dump(partition)


@FEW
@given(RECORDS)
def test_loading_what_was_dumped_is_dumped_alike(records: Records) -> None:
    rulings = told(Rulings(), records)

    again = restarted(rulings)
    again.load(0, again.dump(0))

    assert again.dump(0) == rulings.dump(0)


@FEW
@given(RECORDS)
def test_partitions_do_not_bear_on_each_other(records: Records) -> None:
    rulings = told(Rulings(), records)
    before = rulings.dump(1)

    rulings.load(0, b"")

    assert rulings.dump(1) == before
    assert rulings.dump(0) == Rulings().dump(0)


@FEW
@given(RECORDS)
def test_without_settings_all_else_stays(records: Records) -> None:
    rulings = told(Rulings(), records)
    plain = told(Rulings(), [one for one in records if not isinstance(one[0], DetectionSet)])

    assert without_settings(rulings.dump(0)) == plain.dump(0)


def test_of_nothing_nothing_is_taken_away() -> None:
    assert without_settings(b"") == b""


@FEW
@given(RECORDS, st.integers(0, 20))
def test_a_tick_while_windows_are_fresh_changes_nothing(records: Records, after_s: int) -> None:
    rulings = told(Rulings(), records)
    before = rulings.dump(0)

    rulings.tick(START_NS + after_s * NS_PER_S)

    assert rulings.dump(0) == before


@FEW
@given(RECORDS)
def test_long_after_no_window_is_known_and_verdicts_stay(records: Records) -> None:
    rulings = told(Rulings(), records)
    plain = told(Rulings(), [one for one in records if not isinstance(one[0], Maintenance)])

    rulings.tick(START_NS + 2 * 86_400 * NS_PER_S)

    assert rulings.dump(0) == plain.dump(0)
