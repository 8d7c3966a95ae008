"""How suites count: each rule beside the same rule in its plainest form."""

from __future__ import annotations

import gzip
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import detect
from bench.detect import _Ours, _River
from quality import fleet, log_nulls, nab, nab_score, sessions, skab, smd
from quality import services as made_up
from quality.fleet import _advanced, _is_new_page
from quality.log_nulls import _line, _sessions
from quality.nab_entries import BUDGETS, ENTRIES, STRANGENESS, TUNED
from quality.nab_score import PROFILES, Profile
from quality.services import Incident
from quality.spaces import Dials
from quality.suite import Options, Unmeasurable
from watchkeeper.analyze.detectors.rex import REX
from watchkeeper.analyze.watchers.base import Sighting
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import (
    DEFAULT_TENANT,
    F64,
    N_PARTITIONS,
    Entity,
    Kind,
    Mask,
)

# Runs of a machine: F1.

points = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.7, 2.0]), st.booleans()), min_size=1, max_size=12
)


def columns(rows: list[tuple[float, bool]]) -> tuple[F64, Mask]:
    return np.array([score for score, _ in rows]), np.array([strange for _, strange in rows])


def plain_f1(score: F64, strange: Mask, least: float) -> float:
    hits = sum(bool(s >= least and y) for s, y in zip(score, strange, strict=True))
    n = sum(bool(s >= least) for s in score) + sum(map(bool, strange))
    return 2 * hits / n if n else 0.0


@given(points)
def test_no_other_threshold_has_a_higher_f1(rows: list[tuple[float, bool]]) -> None:
    score, strange = columns(rows)

    found = skab.best([score], [strange])

    assert found.f1 == pytest.approx(max(plain_f1(score, strange, one) for one in score))


@given(points)
def test_shares_of_both_mistakes_are_counted_against_those_who_could_make_them(
    rows: list[tuple[float, bool]],
) -> None:
    score, strange = columns(rows)

    for least in (0.0, 0.5, 9.0):
        found = skab.counted_at(score, strange, least)
        usual, odd = score[~strange], score[strange]
        assert found.far == pytest.approx(np.mean(usual >= least) if len(usual) else 0.0)
        assert found.mar == pytest.approx(np.mean(odd < least) if len(odd) else 1.0)


@pytest.mark.parametrize(
    ("score", "strange", "least"),
    [
        ([3.0, 2.0, 1.0], [True, False, False], 3.0),
        ([3.0, 2.0, 1.0], [False, True, False], 2.0),
        ([3.0, 2.0, 1.0], [True, False, True], 1.0),
        ([1.0, 1.0, 1.0], [True, False, False], 1.0),
        ([5.0, 4.0, 4.0, 0.0], [True, True, True, False], 4.0),
        ([1.0], [True], 1.0),
        ([2.0, 1.0], [False, False], 2.0),
    ],
    ids=["first", "second", "all", "equals", "a tie", "one", "nothing strange"],
)
def test_the_threshold_is_the_score_of_a_point(
    score: list[float], strange: list[bool], least: float
) -> None:
    assert skab.threshold(np.array(score), np.array(strange)) == least


def test_the_order_of_runs_is_no_matter_to_the_best_threshold() -> None:
    rng = np.random.default_rng(3)
    scores = [rng.random(20) for _ in range(3)]
    labels = [rng.random(20) < 0.3 for _ in range(3)]

    found = {
        skab.best([scores[i] for i in order], [labels[i] for i in order])
        for order in itertools.permutations(range(3))
    }

    assert len(found) == 1


def test_a_run_that_scores_perfectly_does_so_by_halves_too() -> None:
    labels = [np.arange(10) >= 8 for _ in range(4)]
    searched = {Dials(): [one.astype(np.float64) for one in labels]}

    assert skab.split_half(searched, labels, seed=1) == 1.0


def test_what_is_chosen_on_one_half_of_the_runs_is_scored_on_the_other() -> None:
    """A threshold that fits two runs flags nothing of runs on another scale."""
    labels = [np.arange(10) >= 8 for _ in range(2)]
    scores = [labels[0] * 1.0, labels[1] * 0.1]

    by_half = skab.split_half({Dials(): scores}, labels, seed=1)

    assert by_half == pytest.approx((0.0 + 1.0) / 2)


def test_between_dials_the_other_half_has_no_say() -> None:
    labels = [np.arange(10) >= 8 for _ in range(2)]
    right, wrong = labels[0] * 1.0, (np.arange(10) < 2) * 1.0
    searched = {Dials(0.0, 5.0): [right, wrong], Dials(0.9, 5.0): [wrong, right]}

    assert skab.split_half(searched, labels, seed=1) == 0.0


def test_the_same_seed_halves_runs_the_same_way() -> None:
    rng = np.random.default_rng(5)
    labels = [rng.random(30) < 0.2 for _ in range(5)]
    searched = {Dials(): [rng.random(30) for _ in range(5)]}

    one, same, other = (skab.split_half(searched, labels, seed) for seed in (1, 1, 2))

    assert one == same
    assert one != other


# Machines: dials by halves.


@pytest.mark.parametrize(
    ("searched", "score"),
    [
        ({Dials(): [0.5]}, 0.5),
        ({Dials(): [0.2, 0.6]}, 0.4),
        ({Dials(0.8): [1.0, 0.0], Dials(0.9): [0.0, 1.0]}, 0.0),
        ({Dials(0.8): [0.9, 0.8, 0.7, 0.6], Dials(0.9): [0.1, 0.1, 0.1, 0.1]}, 0.75),
        ({Dials(0.8): [1.0, 1.0, 0.0], Dials(0.9): [0.4, 0.4, 0.5]}, (0.5 + 0.5 + 0.4) / 3),
    ],
    ids=["one machine", "one dial", "opposed", "one dial is best for all", "an odd number"],
)
def test_machines_are_scored_by_dials_of_the_others(
    searched: dict[Dials, list[float]], score: float
) -> None:
    assert smd.split_half(searched) == pytest.approx(score)


@settings(max_examples=30)
@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=4))
def test_halves_never_score_better_than_the_best_dials_of_each_machine(
    found: list[list[float]],
) -> None:
    searched = {Dials(0.5 + 0.1 * i): one for i, one in enumerate(found)}

    score = smd.split_half(searched)

    assert min(map(min, found)) - 1e-9 <= score <= np.mean(np.max(found, axis=0)) + 1e-9


# NAB: alarms in windows.


def plain_raw(field: nab_score.Field, score: F64, least: float, profile: Profile) -> float:
    """By the paper: the earliest is the best of a window, every alarm outside costs."""
    total = 0.0
    rows = [i for i in range(field.n_unscored, len(score)) if score[i] > 0.0 and score[i] >= least]
    scored = sorted({int(w) for w in field.window[field.n_unscored :] if w >= 0})
    for window in scored:
        inside = [field.worth[i] for i in rows if field.window[i] == window]
        total += profile.hit * max(inside) if inside else -profile.miss
    outside = [field.worth[i] for i in rows if field.window[i] < 0]
    return total + profile.false_alarm * sum(outside)


@given(
    st.lists(st.sampled_from([0.0, 0.2, 0.5, 1.0]), min_size=40, max_size=40),
    st.sampled_from([[], [(10, 14)], [(3, 8), (20, 20)], [(8, 12), (13, 17), (39, 39)]]),
    st.sampled_from(sorted(PROFILES)),
)
def test_every_threshold_scores_as_the_rules_say_it(
    told: list[float], windows: list[tuple[int, int]], name: str
) -> None:
    field, score = nab_score.field(40, windows), np.array(told)

    at, raw = nab_score.raw_by_threshold(field, score, PROFILES[name])

    want = [plain_raw(field, score, one, PROFILES[name]) for one in at.tolist()]
    assert raw.tolist() == pytest.approx(want)
    assert at.tolist() == sorted(set(at.tolist()), reverse=True)


@pytest.mark.parametrize("n", [0, 1, 6, 7, 20, 5_000, 5_001])
def test_probation_is_a_whole_number_of_rows_within_the_file(n: int) -> None:
    found = nab_score.probation(n)

    assert isinstance(found, int)
    assert 0 <= found <= min(n, 750)


@pytest.mark.parametrize(
    ("windows", "n_scored"),
    [([], 0), ([(0, 5)], 0), ([(0, 20)], 1), ([(14, 15)], 1), ([(20, 30), (31, 40)], 2)],
    ids=["none", "in probation", "half in it", "its last row is not", "side by side"],
)
def test_windows_count_as_far_as_they_are_scored(
    windows: list[tuple[int, int]], n_scored: int
) -> None:
    assert nab_score.field(100, windows).n_windows == n_scored


def test_a_window_of_a_single_row_is_worth_all_there_and_its_aftermath_costs_fully() -> None:
    field = nab_score.field(100, [(50, 50)])

    assert field.worth[50] == pytest.approx(1.0)
    assert field.worth[51:].tolist() == [-1.0] * 49


def test_worth_falls_through_a_window_and_behind_it() -> None:
    field = nab_score.field(300, [(100, 149)])

    assert (np.diff(field.worth[100:290]) <= 0).all()
    assert field.worth[149] > 0 > field.worth[150]


@pytest.mark.parametrize("n_files", [1, 2, 3, 7])
def test_halvings_deal_every_file_to_one_of_two_halves(n_files: int) -> None:
    names = [f"folder-{i % 2}/{i}" for i in range(n_files)]

    found = list(nab.halvings(names, seed=4))

    assert len(found) == 2 * nab.HALVINGS
    for one, other in found:
        assert sorted([*one, *other]) == list(range(n_files))
    assert found == list(nab.halvings(names, seed=4))


def test_a_half_without_windows_has_no_score() -> None:
    fields = [nab_score.field(100, [(50, 59)]), nab_score.field(100, [])]
    board = nab_score.board(fields, [np.zeros(100)] * 2, PROFILES["standard"])

    assert math.isnan(nab.split_half(board, [([0], [1])]))
    assert nab.split_half(board, [([0], [1]), ([1], [0])]) == 0.0


def test_all_that_was_tuned_is_a_stream_of_the_detector() -> None:
    for name in ("weights", "halves", "growths"):
        assert set(TUNED[name]) <= set(TUNED["weights"])
    REX(REX.Config(**TUNED), capacity=1)  # refuses streams it has not


@pytest.mark.parametrize("name", list(ENTRIES))
def test_the_values_of_a_dial_rise_and_each_is_a_setting(name: str) -> None:
    entry = ENTRIES[name]

    assert list(entry.values) == sorted(set(entry.values))
    assert entry.values in (BUDGETS, STRANGENESS)
    for value in entry.values:
        assert entry.settings(value, 100)[entry.dial] == value
    assert entry.dial not in entry.fixed


# Sessions.


def written(folder: Path, name: str, text: str) -> None:
    with gzip.open(folder / name, "wt", encoding="utf-8") as file:
        file.write(text)


def test_events_have_the_same_number_in_both_files_of_a_pair(tmp_path: Path) -> None:
    """The second file names them in another order."""
    written(tmp_path, "x_normal.txt.gz", "E5 E9\n" * 8)
    written(tmp_path, "x_abnormal.txt.gz", "E9 E5\n")

    figures, _ = sessions.run(Options(data=tmp_path))

    assert figures["recall"] == 0.0


def test_pairs_are_found_beside_each_other_and_in_folders(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for folder in (tmp_path, tmp_path / "deep"):
        written(folder, "x_normal.txt.gz", "a b\n" * 8)
        written(folder, "x_abnormal.txt.gz", "a b z\n")

    figures, _ = sessions.run(Options(data=tmp_path))

    assert figures["points"] == 18
    assert figures["recall"] == 1.0


def test_a_quick_run_reads_two_hundred_of_each(tmp_path: Path) -> None:
    written(tmp_path, "x_normal.txt.gz", "a b\n" * 300)
    written(tmp_path, "x_abnormal.txt.gz", "a b z\n" * 201)

    figures, _ = sessions.run(Options(data=tmp_path, quick=True))

    assert figures["points"] == 400


@pytest.mark.parametrize(
    ("normal", "abnormal"),
    [("", "a\n"), ("a\n", "a\n"), ("a\na\n", ""), ("\n \n", "a\n")],
    ids=["no normal one", "one normal one", "no abnormal one", "empty lines"],
)
def test_too_few_sessions_are_told_not_scored(tmp_path: Path, normal: str, abnormal: str) -> None:
    written(tmp_path, "x_normal.txt.gz", normal)
    written(tmp_path, "x_abnormal.txt.gz", abnormal)

    with pytest.raises(Unmeasurable, match="the least"):
        sessions.run(Options(data=tmp_path))


@settings(max_examples=30)
@given(st.floats(0, 1), st.floats(0, 1))
def test_f1_rises_with_recall_and_falls_with_false_alarms(recall: float, false: float) -> None:
    one = sessions.Score(recall, false, 0.0)

    assert 0.0 <= one.f1 <= 1.0
    assert sessions.Score(1.0, false, 0.0).f1 >= one.f1
    assert sessions.Score(recall, 1.0, 0.0).f1 <= one.f1


# Lines in which nothing happens.


def test_lines_of_templates_differ_in_more_than_a_word() -> None:
    lines = [_line(n).split() for n in range(300)]

    for one, other in itertools.combinations(lines[:60], 2):
        assert sum(a != b for a, b in zip(one, other, strict=True)) >= 1
    assert len({" ".join(line) for line in lines}) == 300
    assert all(word.isalpha() for line in lines for word in line)


@pytest.mark.parametrize(
    ("minute", "n"),
    [(4, None), (5, 20), (65, 20), (66, None)],
    ids=["before", "at five past", "an hour on", "after"],
)
def test_a_job_speaks_at_five_past_each_hour(minute: int, n: int | None) -> None:
    program = log_nulls.Timer(np.random.default_rng(1), 20)

    assert program.counts(minute).get(20) == n


@pytest.mark.parametrize("minute", [120, 139, 1440 + 125])
def test_at_night_a_job_says_a_thousand_lines_a_minute(minute: int) -> None:
    program = log_nulls.Timer(np.random.default_rng(1), 20)

    assert 800 < program.counts(minute)[21] < 1200
    assert 21 not in program.counts(minute - 60)


@pytest.mark.parametrize(
    ("minute", "shape"),
    [(8 * 60, 1.0), (18 * 60, 0.1), (7 * 60 + 59, 0.1), (5 * 1440 + 9 * 60, 0.05),
     (6 * 1440, 0.005), (7 * 1440 + 9 * 60, 1.0)],
    ids=["eight", "six", "before eight", "Saturday", "Sunday night", "Monday again"],
)  # fmt: skip
def test_working_days_begin_at_eight_on_monday(minute: int, shape: float) -> None:
    program = log_nulls.WorkingDays(np.random.default_rng(1), 1)

    assert program.shape(minute) == pytest.approx(shape)


def test_sessions_have_ids_that_no_two_share() -> None:
    chance = np.random.default_rng(2)

    keys = [{run[0] for run in _sessions(chance, minute)} for minute in range(100)]

    assert len(set().union(*keys)) == sum(map(len, keys)) > 500
    assert 0 not in set().union(*keys)


# The fleet.


def sighting(
    service: str = "shop",
    symptom: str = "errors",
    began_ns: int = 1,
    severity: Severity = Severity.PAGE,
) -> Sighting:
    labels = {"service": service, "symptom": symptom}
    return Sighting(
        DEFAULT_TENANT, Entity(service), labels, began_ns, began_ns, 1, severity, 1.0, 0.0, 0.5, 0.1
    )


@pytest.mark.parametrize(
    ("told", "n_pages"),
    [
        ([], 0),
        ([sighting()], 1),
        ([sighting(), sighting()], 1),
        ([sighting(severity=Severity.EVIDENCE)], 0),
        ([sighting(severity=Severity.EVIDENCE), sighting()], 1),
        ([sighting(), sighting(severity=Severity.EVIDENCE), sighting()], 1),
        ([sighting(), sighting(began_ns=2)], 2),
        ([sighting(), sighting(symptom="latency")], 2),
        ([sighting(), sighting(service="cart")], 2),
    ],
    ids=["nothing", "one", "twice told", "evidence", "worsened", "up, down", "again", "another",
         "elsewhere"],
)  # fmt: skip
def test_an_episode_is_one_page_however_often_it_is_told(
    told: list[Sighting], n_pages: int
) -> None:
    paged: set[fleet.Episode] = set()

    assert sum(_is_new_page(one, paged) for one in told) == n_pages


def test_pages_of_one_run_are_counted_in_the_next_as_well() -> None:
    counts = [_is_new_page(sighting(), set()) for _ in range(2)]

    assert counts == [True, True]


def test_the_series_of_a_fleet_are_found_by_their_identity() -> None:
    catalog = fleet.Catalog(3)

    slots = catalog.lookup(catalog.identity)

    assert slots.tolist() == list(range(3 * made_up.N_SERIES))
    assert len({catalog.series(slot).identity for slot in slots.tolist()}) == len(slots)


def test_all_series_of_a_service_are_of_its_partition() -> None:
    catalog = fleet.Catalog(N_PARTITIONS + 2)
    by_service = catalog.partition.reshape(-1, made_up.N_SERIES)

    assert (by_service == by_service[:, :1]).all()
    assert by_service[0, 0] == by_service[N_PARTITIONS, 0]


@pytest.mark.parametrize(
    ("row", "kind", "name"),
    [
        (0, Kind.COUNTER, "http_requests_total"),
        (1, Kind.COUNTER, "http_requests_total"),
        (2, Kind.UNSCORED, "http_server_request_duration_seconds_bucket"),
        (8, Kind.UNSCORED, "http_server_request_duration_seconds_bucket"),
        (9, Kind.GAUGE, "process_cpu_utilization"),
        (10, Kind.GAUGE, "jobs_queue_depth"),
        (11, Kind.GAUGE, "plain"),
        (19, Kind.GAUGE, "plain"),
    ],
)
def test_a_series_is_judged_as_what_it_is_called(row: int, kind: Kind, name: str) -> None:
    one = fleet.Catalog(2).series(made_up.N_SERIES + row)

    assert (one.kind, one.labels["__name__"]) == (kind, name)
    assert one.entity.service == one.labels["service"] == "service-1"


def test_counters_are_sent_as_sums_and_begin_again_with_a_deploy() -> None:
    total = np.zeros((1, made_up.N_SERIES))
    added = np.full((1, made_up.N_SERIES), 3.0)

    sent = [_advanced(total, added, np.array([reset])) for reset in (False, False, True)]

    assert [one[0, 0] for one in sent] == [3.0, 6.0, 3.0]
    assert [one[0, -1] for one in sent] == [3.0, 3.0, 3.0]


def test_what_is_silent_sends_nothing_and_goes_on_where_it_was() -> None:
    total = np.zeros((1, made_up.N_SERIES))
    added, silent = (np.full((1, made_up.N_SERIES), value) for value in (3.0, np.nan))

    sent = [_advanced(total, one, np.array([False])) for one in (added, silent, added)]

    assert np.isnan(sent[1]).all()
    assert sent[2][0, 0] == 6.0


STEP_S, N = 60.0, 1_440


@pytest.mark.parametrize(
    ("kind", "row", "low", "high"),
    [("errors", 1, 3.5, 6.5), ("traffic", 0, 0.1, 0.3), ("latency", 3, 0.0, 0.9)],
)
def test_an_incident_does_to_a_service_what_it_is_called_for(
    kind: str, row: int, low: float, high: float
) -> None:
    usual = made_up.make(3, step_s=STEP_S, n=N).values
    struck = made_up.make(3, step_s=STEP_S, n=N, incident=Incident(kind, 700, 1_000)).values

    assert low < struck[row, 700:1_000].sum() / usual[row, 700:1_000].sum() < high
    asked = [one[:2, :700].sum(axis=0).tolist() for one in (usual, struck)]
    assert asked[0] == asked[1]


def test_in_silence_every_series_of_a_service_stops_and_comes_back() -> None:
    struck = made_up.make(3, step_s=STEP_S, n=N, incident=Incident("silence", 700, 1_000)).values

    assert np.isnan(struck[:, 700:1_000]).all()
    assert not np.isnan(struck[:, :700]).any()
    assert not np.isnan(struck[:, 1_000:]).any()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_service_is_the_same_again_and_its_buckets_add_up(seed: int) -> None:
    one, same = (made_up.make(seed, step_s=STEP_S, n=N) for _ in range(2))
    buckets = one.values[2 : made_up.COUNTED.stop]

    assert one.values.tobytes() == same.values.tobytes()
    assert (np.diff(buckets, axis=0) >= 0).all()
    assert (buckets[-1] == one.values[0] + one.values[1]).all()
    assert (one.values[made_up.COUNTED] >= 0).all()


def test_labels_of_a_service_name_each_of_its_series_once() -> None:
    found = made_up.labels("shop")

    assert len(found) == made_up.N_SERIES
    assert len({tuple(sorted(one.items())) for one in found}) == made_up.N_SERIES
    assert {one["service"] for one in found} == {"shop"}


# The grid tier beside river.


def test_both_contenders_of_the_tier_are_timed_for_every_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(detect, "HISTORY", 20)
    monkeypatch.setattr(detect, "N_DONORS", 10)
    monkeypatch.setattr(detect, "SETTLING", 2)
    monkeypatch.setattr(detect, "N_RIVER", 3)

    ours, river = _Ours(40, seed=1), _River(seed=1)

    assert min(ours.ordered(), ours.shuffled(), river.turn()) > 0.0
    assert set(detect.TARGETS) == {"points_per_s", "ratio_river"}
