"""Services that fall silent together: one page that says what they share, and evidence of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pytest
from msgspec.structs import replace

from tests.serving import ALL, Known, Play, requests
from watchkeeper.analyze.detectors.base import CLOSED, OPENED, WORSENED
from watchkeeper.analyze.watchers.base import Open, Sighting
from watchkeeper.analyze.watchers.symptoms import Symptoms
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import F64, N_PARTITIONS, Mask

STEP_S = 15
HOUR = 3_600 // STEP_S
"""In steps."""

Place = Callable[[int], Mapping[str, str]]


def nowhere(_: int) -> Mapping[str, str]:
    return {}


def by_halves(k: int) -> Mapping[str, str]:
    return {"environment": "prod" if k < 10 else "staging"}


class Fleet:
    """So many services, two series each; what is silent sends nothing. Some are heard of once a
    minute, at moments of their own."""

    def __init__(
        self, n: int, place: Place = nowhere, *, slow: Sequence[int] = (), first_slot: int = 0
    ) -> None:
        names = [f"service-{k:02}" for k in range(n)]
        labels = [{**one, **place(k)} for k, name in enumerate(names) for one in requests(name)]
        known = Known(labels, first_slot)
        known.partition[first_slot:] = np.repeat(np.arange(n) % 3, 2)
        self.play = Play(Symptoms(catalog=known), STEP_S)
        self.n, self.slow, self.at, self.first_slot = n, slow, 0, first_slot

    def values(self, n: int, silent: Sequence[int] = ()) -> F64:
        rows = np.arange(self.at, self.at + n, dtype=np.float64)[:, None]
        self.at += n
        values = rows * np.tile([150.0, 1.0], self.n)
        for one in silent:
            values[:, 2 * one : 2 * one + 2] = np.nan
        for one in self.slow:
            values[(rows[:, 0] + one) % 4 != 0, 2 * one : 2 * one + 2] = np.nan
        return values

    def say(self, n: int, silent: Sequence[int] = (), *, cut: int = 0) -> list[Sighting]:
        return self.play.say(self.values(n, silent), cut=cut, first_slot=self.first_slot)


def learned(n: int, place: Place = nowhere, *, slow: Sequence[int] = ()) -> Fleet:
    fleet = Fleet(n, place, slow=slow)
    assert fleet.say(HOUR + 40) == []
    return fleet


def pages(told: Sequence[Sighting]) -> list[str]:
    """Whom they are of; an outage is of nobody."""
    return sorted({one.entity.service for one in told if one.severity is Severity.PAGE})


def outages(told: Sequence[Sighting]) -> list[Sighting]:
    return [one for one in told if one.labels["symptom"] == "outage"]


def test_a_collector_that_dies_is_one_page() -> None:
    fleet = learned(40)

    told = fleet.say(20, silent=range(37))

    (outage,) = outages(told)
    assert pages(told) == [""]
    assert (outage.change, outage.severity) == (OPENED, Severity.PAGE)
    assert (outage.value, outage.evidence["services"]) == (37.0, 40.0)
    assert (outage.labels, outage.entity.service) == ({"symptom": "outage"}, "")


def test_an_outage_is_held_until_it_is_over() -> None:
    fleet = learned(8)
    (said,) = outages(fleet.say(20, silent=range(6)))
    outage = Open(said.tenant, "", "", said.labels, "", said.started_ns)
    watcher = fleet.play.watcher

    before = watcher.holds(outage), watcher.holds(replace(outage, started_ns=1))
    told = fleet.say(20)

    assert [one.change for one in outages(told)] == [CLOSED]
    assert (before, watcher.holds(outage)) == ((True, False), False)


def test_the_silence_of_each_service_is_evidence_that_names_the_outage() -> None:
    fleet = learned(8)

    told = fleet.say(20, silent=range(6))

    own = [one for one in told if one.entity.service]
    assert [one.entity.service for one in own] == [f"service-{k:02}" for k in range(6)]
    assert {(one.severity, one.evidence["outage"]) for one in own} == {(Severity.EVIDENCE, 1.0)}


@pytest.mark.parametrize(
    ("n", "n_silent", "expected"),
    [
        (2, 2, ["service-00", "service-01"]),
        (3, 3, [""]),
        (6, 3, ["service-00", "service-01", "service-02"]),
        (6, 4, [""]),
        (6, 1, ["service-00"]),
    ],
    ids=["two are few", "three are enough", "half is not most", "most", "one alone"],
)
def test_it_takes_most_services_and_three(n: int, n_silent: int, expected: list[str]) -> None:
    fleet = learned(n)

    told = fleet.say(20, silent=range(n_silent))

    assert pages(told) == expected


@pytest.mark.parametrize("name", ["environment", "node", "job", "cluster", "collector"])
def test_the_page_says_what_they_share_that_stopped(name: str) -> None:
    fleet = learned(20, lambda k: {name: "here" if k < 6 else "there", "region": "eu"})

    told = fleet.say(20, silent=range(6))

    (outage,) = outages(told)
    assert outage.labels == {"symptom": "outage", name: "here"}
    assert (outage.value, pages(told)) == (6.0, [""])


def test_a_place_is_shared_only_by_services_that_are_nowhere_else() -> None:
    """Of each service, one series is on another node."""
    fleet = Fleet(4)
    labels = [
        {**one, "node": f"node-{at % 2}"}
        for k in range(4)
        for at, one in enumerate(requests(f"service-{k:02}"))
    ]
    fleet.play = Play(Symptoms(catalog=Known(labels)), STEP_S)
    fleet.say(HOUR + 40)

    told = fleet.say(20, silent=range(4))

    assert [one.labels for one in outages(told)] == [{"symptom": "outage"}]


@pytest.mark.parametrize("ago", [0, 6, 30], ids=["at once", "soon", "long after"])
def test_who_dies_alone_while_another_collector_is_out_pages(ago: int) -> None:
    fleet = learned(20, by_halves)
    told = fleet.say(ago, silent=range(10))

    told += fleet.say(20, silent=range(11))

    assert pages(told) == ["", "service-10"]
    assert [one.labels.get("environment") for one in outages(told)] == ["prod"]


def test_two_collectors_that_die_are_two_pages() -> None:
    fleet = learned(20, lambda k: {"environment": ("prod", "staging", "test", "test")[k // 5]})

    told = fleet.say(20, silent=range(10))

    assert {one.labels["environment"] for one in outages(told)} == {"prod", "staging"}
    assert len(outages(told)) == 2
    assert pages(told) == [""]


def test_services_that_stop_one_after_the_other_are_no_outage() -> None:
    fleet = learned(8)
    told = [one for gone in range(1, 7) for one in fleet.say(12, silent=range(gone))]

    assert outages(told) == []


def test_when_telemetry_comes_back_who_is_silent_still_pages() -> None:
    fleet = learned(10)
    fleet.say(20, silent=range(9))

    told = fleet.say(20, silent=[3])

    assert [one.change for one in outages(told)] == [CLOSED]
    (own,) = [one for one in told if one.entity.service == "service-03"]
    assert (own.severity, own.change) == (Severity.PAGE, WORSENED)
    assert pages([one for one in told if one.entity.service]) == ["service-03"]


def test_those_that_come_back_one_after_the_other_do_not_page() -> None:
    fleet = learned(12)
    fleet.say(20, silent=range(12))

    told = [one for gone in range(11, -1, -1) for one in fleet.say(1, silent=range(gone))]

    assert pages([one for one in told if one.entity.service]) == []
    assert outages(told)[-1].change == CLOSED


@pytest.mark.parametrize("n", [8, 9], ids=["one of two that were left", "the last one"])
def test_one_that_stops_long_after_is_its_own_page(n: int) -> None:
    fleet = learned(10)
    fleet.say(24, silent=range(n))

    told = fleet.say(20, silent=range(n + 1))

    assert pages(told) == [f"service-{n:02}"]


def test_a_collector_that_dies_again_as_its_services_come_back_is_one_page() -> None:
    fleet = learned(10)
    told = fleet.say(20, silent=range(10))
    told += fleet.say(3, silent=[4])

    told += fleet.say(20, silent=range(10))

    assert pages(told) == [""]
    assert [one.change for one in outages(told)] == [OPENED]


def test_those_that_were_late_already_do_not_page_before_the_others() -> None:
    """Three are heard of four times a minute, the others once."""
    fleet = learned(13, slow=range(3, 13))

    told = fleet.say(40, silent=range(13))

    assert pages(told) == [""]
    assert outages(told)[0].value >= 7.0


def test_what_they_share_is_said_once_it_is_known_of_those_that_are_heard_of_seldom() -> None:
    """The job of the fast ones would be one place, if the others were not late too."""
    fleet = learned(13, lambda k: {"job": "slow" if k > 9 else "fast"}, slow=range(10, 13))

    told = fleet.say(40, silent=range(13))

    assert outages(told)[0].labels == {"symptom": "outage"}
    assert pages(told) == [""]


def test_a_lone_silence_waits_for_nobody_where_others_are_heard() -> None:
    fleet = learned(13, slow=range(3, 13))

    told = fleet.say(6, silent=[0])

    assert pages(told) == ["service-00"]


def test_an_outage_is_told_again_when_a_quarter_more_are_silent() -> None:
    fleet = learned(20)
    told = fleet.say(3, silent=range(12))

    told += fleet.say(20, silent=range(20))

    assert [(one.change, one.value) for one in outages(told)] == [(OPENED, 12.0), (WORSENED, 20.0)]
    assert pages(told) == [""]


def test_services_of_a_collector_that_drains_are_one_page() -> None:
    fleet = learned(10)
    told = fleet.say(5, silent=range(8))

    told += fleet.say(20, silent=range(10))

    assert pages(told) == [""]
    assert [one.change for one in outages(told)] == [OPENED, WORSENED]


def test_an_outage_is_no_pause_that_its_services_are_known_to_make() -> None:
    fleet = learned(10)
    fleet.say(40, silent=range(10))
    fleet.say(20)

    told = fleet.say(5, silent=[5])

    assert pages(told) == ["service-05"]


def test_more_places_that_stop_at_once_than_are_counted_in_a_tick_page_all_the_same() -> None:
    """Each service has a window of its own."""
    fleet = learned(60, lambda k: {"job": f"job-{k // 3}"})

    told = fleet.say(20, silent=[k for k in range(60) if k % 3 == 0])

    assert len(pages(told)) == 20


def test_what_was_learned_too_briefly_pages_nobody() -> None:
    fleet = Fleet(8)
    fleet.say(60)

    told = fleet.say(20, silent=range(8))

    assert (outages(told), pages(told)) == ([], [])


def test_an_hour_after_an_outage_nothing_is_kept_of_it() -> None:
    fleet = learned(6)
    fleet.say(20, silent=range(6))
    fleet.say(HOUR + 20)

    told = fleet.say(20, silent=range(6))

    assert pages(told) == [""]


@pytest.mark.parametrize("cut", [0, 1, 5])
def test_how_batches_are_cut_changes_nothing(cut: int) -> None:
    fleet = learned(8)

    told = fleet.say(20, silent=range(7), cut=cut)

    assert (told[0].entity.service, told[0].change) == ("", OPENED)
    assert len(told) == 8


def test_partitions_that_come_one_by_one_are_one_page_too() -> None:
    """As where several processes share them."""
    fleet = learned(30)
    told: list[Sighting] = []
    for row in fleet.values(12, silent=range(30)):
        assert np.isnan(row).all()
        fleet.play.now_ns += STEP_S * NS_PER_S
        for partition in range(3):
            told += fleet.play.watcher.tick(fleet.play.now_ns, np.arange(N_PARTITIONS) == partition)

    assert pages(told) == [""]
    assert len([one for one in outages(told) if one.change == OPENED]) == 1


# Restarts


def away(fleet: Fleet, seconds: float) -> None:
    """Nobody listens for so long; what the senders counted goes on."""
    fleet.at += round(seconds / STEP_S)
    fleet.play.now_ns += round(seconds) * NS_PER_S


@pytest.mark.parametrize("back", [0, 4], ids=["at once", "a minute later"])
def test_ten_minutes_in_which_watchkeeper_was_down_page_nobody(back: int) -> None:
    fleet = learned(12)
    away(fleet, 600)

    told = fleet.say(back, silent=range(12))
    told += fleet.say(40)

    assert told == []


def test_who_died_while_watchkeeper_was_down_pages_soon_after() -> None:
    fleet = learned(12)
    away(fleet, 600)

    told = fleet.say(9, silent=[5])

    assert pages(told) == ["service-05"]


def test_a_door_that_stays_shut_after_a_restart_is_one_page() -> None:
    fleet = learned(12)
    away(fleet, 600)

    told = fleet.say(20, silent=range(12))

    assert pages(told) == [""]


def test_what_watchkeeper_missed_is_not_learned_as_a_pause() -> None:
    fleet = learned(12)
    away(fleet, 600)
    fleet.say(20)

    told = fleet.say(5, silent=[5])

    assert pages(told) == ["service-05"]


EVENTS = ((10, ()), (4, range(6)), (12, range(10)), (14, ()), (18, range(6, 20)), (22, (3, 12)))
"""Steps, and who is silent in them: a collector that drains, another one with whom some services of
the first stop, and a service of each that stays away."""


def recorded(fleet: Fleet) -> tuple[list[list[Sighting]], list[dict[int, bytes]], F64]:
    """By step what was told, and what each partition would have kept before it."""
    values = np.concatenate([fleet.values(n, silent) for n, silent in EVENTS])
    told, kept = [], []
    for row in values:
        kept.append({one: fleet.play.watcher.dump(one) for one in range(3)})
        told.append(fleet.play.say(row[None]))
    return told, kept, values


def partition_of(one: Sighting) -> int | None:
    return int(one.entity.service[-2:]) % 3 if one.entity.service else None


def replayed(fleet: Fleet, values: F64, first: int, at: Sequence[int]) -> Iterator[list[Sighting]]:
    """From the first of these steps on; a partition is told of what it does not know yet."""
    of = np.repeat(np.arange(fleet.n) % 3, 2)
    for step in range(first, len(values)):
        row, fresh = values[step].copy(), np.array([one <= step for one in at])
        row[~fresh[of]] = np.nan
        yield fleet.play.step(row, mask(fresh), first_slot=fleet.first_slot)


def mask(fresh: Mask) -> Mask:
    found = ALL.copy()
    found[: len(fresh)] = fresh
    return found


@pytest.mark.parametrize(
    ("spread", "first_slot"), [((0, 0, 0), 7), ((0, 3, 9), 0), ((11, 0, 2), 7), ((5, 17, 0), 0)]
)
def test_partitions_that_were_kept_anywhere_go_on_as_if_nothing_had_been(
    spread: Sequence[int], first_slot: int
) -> None:
    fleet = learned(20, by_halves, slow=[1, 7, 15])
    began_ns = fleet.play.now_ns
    told, kept, values = recorded(fleet)
    dumps = {one: fleet.play.watcher.dump(one) for one in range(3)}

    for first in range(0, len(values) - max(spread), 9):
        at = [first + one for one in spread]
        again = Fleet(20, by_halves, slow=[1, 7, 15], first_slot=first_slot)
        again.play.now_ns = began_ns + first * STEP_S * NS_PER_S
        for one in range(3):
            again.play.watcher.load(one, kept[at[one]][one])
        for step, said in enumerate(replayed(again, values, first, at), first):
            due = {number for number, place in enumerate(at) if place <= step}
            due |= {None} if max(at) <= step else set()
            assert said == [one for one in told[step] if partition_of(one) in due]
        assert {one: again.play.watcher.dump(one) for one in range(3)} == dumps
