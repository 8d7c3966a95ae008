"""What is in force in each partition, at each position, and after a restart."""

from __future__ import annotations

from tests import make
from watchkeeper.analyze.feedback import WEEK_NS
from watchkeeper.analyze.maintenance import MaintenanceWindow, Subject, Windows
from watchkeeper.analyze.rulings import MAX_VERDICTS, Rulings
from watchkeeper.model.anomaly import AnomalyId
from watchkeeper.model.ruling import Maintenance, Word

OF = make.anomaly()
SUBJECT = Subject(OF.tenant, OF.entity, OF.labels)
ALL = Windows([MaintenanceWindow(weekly="mon-sun 00:00-24:00", reason="always")])


def restarted(rulings: Rulings, partition: int = 0) -> Rulings:
    found = Rulings()
    found.load(partition, rulings.dump(partition))
    return found


def muted(rulings: Rulings, began_ns: int, windows: Windows | None = None) -> str:
    return rulings.muted(
        0,
        OF.series,
        SUBJECT,
        detector=OF.detector,
        began_ns=began_ns,
        windows=windows or Windows(),
    )


def test_settings_are_in_force_in_the_partitions_that_have_come_to_them() -> None:
    rulings = Rulings()

    settled = rulings.settle(make.settings("a"), [0, 1])

    assert settled == [0, 1]
    assert [rulings.document(partition) for partition in range(3)] == ["a", "a", ""]
    assert [rulings.version(partition) for partition in range(3)] == [1, 1, 0]


def test_settings_that_expected_another_version_change_nothing() -> None:
    rulings = Rulings()
    rulings.settle(make.settings("a"), [0])

    settled = rulings.settle(make.settings("b", expected=0), [0, 1])

    assert settled == [1]
    assert (rulings.document(0), rulings.document(1)) == ("a", "b")


def test_a_restart_goes_on_with_what_was_in_force() -> None:
    rulings = Rulings()
    rulings.settle(make.settings("a"), [0])
    rulings.hold(make.maintenance(), [0])
    rulings.note(make.verdict())

    again = restarted(rulings)

    assert (again.version(0), again.document(0)) == (1, "a")
    assert again.shift(0, OF.series) == -0.5
    assert muted(again, OF.started_ns) == "maintenance: disks are exchanged"
    assert again.dump(0) == rulings.dump(0)


def test_what_there_is_nothing_of_is_forgotten() -> None:
    rulings = Rulings()
    rulings.settle(make.settings("a"), [0, 1])

    rulings.load(0, b"")

    assert (rulings.version(0), rulings.version(1)) == (0, 1)


def test_a_newer_verdict_of_the_same_principal_replaces_the_older() -> None:
    rulings = Rulings()
    rulings.note(make.verdict(Word.NOT_USEFUL))
    rulings.note(make.verdict(Word.REAL, principal="user:else"))

    rulings.note(make.verdict(Word.REAL))

    assert rulings.shift(0, OF.series) == 0.5


def test_a_withdrawn_verdict_leaves_no_trace() -> None:
    rulings = Rulings()
    rulings.note(make.verdict(Word.NOT_USEFUL, anomaly=AnomalyId("b")))
    before = rulings.dump(0)
    rulings.note(make.verdict())

    rulings.note(make.verdict(Word.WITHDRAWN))

    assert rulings.dump(0) == before
    assert rulings.judged(0) == [OF.series]


def test_where_all_are_withdrawn_nobody_is_judged() -> None:
    rulings = Rulings()
    rulings.note(make.verdict())

    rulings.note(make.verdict(Word.WITHDRAWN))

    assert rulings.judged(0) == []
    assert rulings.shift(0, OF.series) == 0.0


def test_of_too_many_verdicts_the_newest_count() -> None:
    rulings = Rulings()
    rulings.note(make.verdict(Word.EXPECTED))
    for n in range(MAX_VERDICTS):
        rulings.note(make.verdict(Word.REAL, anomaly=AnomalyId(str(n))))

    assert muted(rulings, OF.started_ns + WEEK_NS) == ""
    assert rulings.shift(0, OF.series) == 1.0


def test_a_window_that_was_ended_early_holds_no_longer() -> None:
    rulings = Rulings()
    window: Maintenance = make.maintenance()
    rulings.hold(window, [0])

    rulings.hold(make.maintenance(to_ns=window.from_ns + 60), [0])

    assert muted(rulings, window.from_ns + 59)
    assert not muted(rulings, window.from_ns + 60)


def test_a_window_that_is_long_over_is_forgotten_and_a_fresh_one_is_not() -> None:
    rulings = Rulings()
    rulings.hold(make.maintenance(), [0])
    nothing = Rulings()
    nothing.note(make.verdict(Word.WITHDRAWN))

    rulings.tick(make.maintenance().to_ns + 3600 * make.NS_PER_S)
    kept = muted(rulings, OF.started_ns)
    rulings.tick(make.maintenance().to_ns + 25 * 3600 * make.NS_PER_S)

    assert kept == "maintenance: disks are exchanged"
    assert rulings.dump(0) == nothing.dump(0)


def test_the_windows_of_the_settings_mute_first() -> None:
    rulings = Rulings()
    rulings.hold(make.maintenance(), [0])

    assert muted(rulings, OF.started_ns, ALL) == "maintenance: always"


def test_what_was_expected_is_muted_with_the_reason() -> None:
    rulings = Rulings()
    rulings.note(make.verdict(Word.EXPECTED))

    assert muted(rulings, OF.started_ns + WEEK_NS) == "expected: every week at this time"
    assert rulings.shift(0, OF.series) == 0.0
