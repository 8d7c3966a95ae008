"""Recorded minutes that are laid anew: what was sent is told as it was, at another time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quality import calm
from quality.recorded_minutes import MINUTE_NS, Recorded, counted, cut
from quality.shop_days import ALIKE, Laying, drawn
from quality.suite import Options, Unmeasurable
from tests import make
from tests.disks import UnsyncedFiles
from tests.make import NS_PER_S, START_NS
from tests.red import Call, Works, spans
from watchkeeper.ingest.enrich import Enrich
from watchkeeper.lake.series import Catalog, CatalogConfig
from watchkeeper.lake.wal import WalConfig, WriteAheadLog
from watchkeeper.model import wire
from watchkeeper.model.anomaly import Severity
from watchkeeper.model.series import DEFAULT_TENANT, Kind
from watchkeeper.model.signal import LogBatch, Logged, NewSeries, SampleBatch, SpanBatch, Tick
from watchkeeper.store.installation import installation_key

GAUGE, COUNTER, BUCKET, INFO = range(4)
SERIES: Sequence[NewSeries] = (
    make.new_series(GAUGE, make.labels("temperature")),
    make.new_series(COUNTER, make.labels("requests_total"), kind=Kind.COUNTER),
    make.new_series(
        BUCKET, make.labels("took_bucket", le="1"), make.labels("build_info"), kind=Kind.UNSCORED
    ),
)
PER_S = (3.0, 5.0)
"""What the counter grows by, in even minutes and in odd ones."""
LATE_S = 2
"""So long after a request began its spans come."""


def recording(minutes: int = 5) -> Iterator[Logged]:
    """A sample of each series every second, a trace of two spans and a line every ten."""
    yield from SERIES
    count = 1000.0
    for second in range(60 * minutes + 1):
        now_ns = START_NS + second * NS_PER_S
        count += PER_S[second // 60 % 2]
        made_ns = now_ns - NS_PER_S // 4
        yield make.samples(
            (GAUGE, made_ns, float(second)),
            (COUNTER, made_ns, count),
            (BUCKET, made_ns, 2 * count),
            (INFO, made_ns, 1.0),
        )
        if second % 10 == LATE_S:
            yield traced(second)
            yield make.logs((now_ns, 9, b"served"))
        yield make.tick(second)


def traced(second: int) -> SpanBatch:
    began_s = second - LATE_S - 0.5
    return spans(
        Call(trace=second, span=2 * second, parent=0, start_s=began_s),
        Call(service="db", trace=second, span=2 * second + 1, parent=2 * second, start_s=second),
    )


def recorded() -> Recorded:
    return cut(recording(), leave_s=60.0)


def laid(*numbers: int, begin_ns: int = 7 * 86_400 * NS_PER_S) -> list[Logged]:
    laying = Laying(recorded(), np.random.default_rng(1))
    return [
        record
        for at, number in enumerate(numbers)
        for second in laying.minute(number, begin_ns + at * MINUTE_NS)
        for record in second
    ]


def values(records: Sequence[Logged], slot: int) -> list[tuple[int, float]]:
    found = [one for one in records if isinstance(one, SampleBatch)]
    return [
        (int(time_ns), float(value))
        for one in found
        for own, time_ns, value in zip(one.slot, one.time_ns, one.value, strict=True)
        if own == slot
    ]


def test_the_beginning_and_the_last_minute_are_left_out() -> None:
    found = recorded()

    assert [one.began_ns for one in found.minutes] == [
        START_NS + 60 * s * NS_PER_S for s in (1, 2, 3)
    ]
    assert {one.n_samples for one in found.minutes} == {240}
    assert {one.n_spans for one in found.minutes} == {12}


def test_what_only_grows_is_known_by_its_kind_or_its_name() -> None:
    assert counted(SERIES).tolist() == [False, True, True, False]


def test_values_come_as_they_were_and_counters_go_on_where_they_were() -> None:
    """Whatever minutes follow each other, each at the rate that it had."""
    told = laid(1, 0, 1)  # of which the last second is yet to come

    gauge, counter = values(told, GAUGE), values(told, COUNTER)
    steps = np.diff([value for _, value in counter])
    assert [value for _, value in gauge[:60]] == [float(121 + n) for n in range(60)]
    assert [value for _, value in gauge[60:120]] == [float(61 + n) for n in range(60)]
    assert np.diff([time_ns for time_ns, _ in counter]).tolist() == [NS_PER_S] * 178
    assert sorted(set(steps.tolist())) == sorted(PER_S)
    assert steps[:58].tolist() == [PER_S[0]] * 58
    assert steps[61:118].tolist() == [PER_S[1]] * 57
    assert values(told, INFO)[0][1] == 1.0


def test_a_counter_that_was_silent_for_a_minute_does_not_make_up_for_it() -> None:
    found = recorded()
    silent = replace(found.minutes[1], seconds={})
    laying = Laying(Recorded(found.series, [found.minutes[0], silent]), np.random.default_rng(1))

    told = [
        record
        for at, number in enumerate((0, 1, 0))
        for second in laying.minute(number, START_NS + at * MINUTE_NS)
        for record in second
    ]

    steps = np.diff([value for _, value in values(told, COUNTER)])
    assert steps.max() <= 2 * max(PER_S)


def test_a_tick_a_second_closes_what_came_with_it() -> None:
    begin_ns = 7 * 86_400 * NS_PER_S

    told = laid(0, begin_ns=begin_ns)

    ticks = [one.now_ns for one in told if isinstance(one, Tick)]
    assert ticks == [begin_ns + n * NS_PER_S for n in range(1, 61)]
    newest_ns = 0
    for one in told:
        if isinstance(one, SampleBatch):
            newest_ns = int(one.time_ns.max())
        elif isinstance(one, Tick):
            assert newest_ns <= one.now_ns


def test_no_trace_is_cut_and_each_time_it_is_another() -> None:
    told = laid(0, 0)  # of which the last trace is yet to come

    batches = [one for one in told if isinstance(one, SpanBatch)]
    traces = np.concatenate([one.trace[:, 1] for one in batches])
    span = np.concatenate([one.span for one in batches])
    parent = np.concatenate([one.parent for one in batches])
    known, counts = np.unique(traces, return_counts=True)
    assert len(known) == 11
    assert counts.tolist() == [2] * 11
    assert len(set(span.tolist())) == 22
    assert set(parent[parent > 0].tolist()) <= set(span.tolist())
    assert (parent == 0).sum() == 11


def test_what_came_late_comes_as_late_again_also_behind_its_minute() -> None:
    """The trace that begins half a second before a minute ends is told two seconds into the next,
    and belongs to the minute in which it began."""
    begin_ns = 7 * 86_400 * NS_PER_S

    told = laid(0, 2, begin_ns=begin_ns)

    behind: list[int] = []
    waiting: list[SpanBatch] = []
    for one in told:
        if isinstance(one, SpanBatch):
            waiting.append(one)
        elif isinstance(one, Tick):
            behind += [
                int((one.now_ns - batch.start_ns[batch.parent == 0].min()) // NS_PER_S)
                for batch in waiting
            ]
            waiting = []
    assert behind == [3] * 11


def test_lines_are_laid_with_their_texts() -> None:
    told = laid(0)

    lines = [one for one in told if isinstance(one, LogBatch)]
    assert [one.body[0] for one in lines] == [b"served"] * 6


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([*SERIES, make.tick(0), make.tick(90)], "minutes are recorded; too few"),
        ([*SERIES, make.tick(0), make.tick(600)], "no samples are recorded"),
        (
            [*SERIES, make.tick(0), make.samples((GAUGE, START_NS, 1.0)), make.tick(600)],
            "no spans are recorded",
        ),
        (
            [*SERIES, *SERIES, make.tick(0), make.samples((GAUGE, START_NS, 1.0)), make.tick(600)],
            "a series left while it was recorded",
        ),
    ],
)
def test_what_cannot_be_laid_is_refused_with_the_reason(
    records: Sequence[Logged], says: str
) -> None:
    with pytest.raises(Unmeasurable, match=says):
        cut(records, leave_s=60.0)


def test_minutes_are_drawn_from_those_with_about_as_many_buyers() -> None:
    loads = [n / 20 for n in range(20)]
    wanted = np.repeat([0.0, 0.5, 0.95], 400)

    chosen = drawn(loads, wanted, np.random.default_rng(1))

    by_load = [set(part.tolist()) for part in np.split(chosen, 3)]
    assert by_load[0] == set(range(ALIKE))
    assert by_load[2] == set(range(20 - ALIKE, 20))
    assert len(by_load[1]) == ALIKE
    assert all(abs(n - 10) <= ALIKE // 2 for n in by_load[1])


def test_days_have_as_many_buyers_as_the_shop_has() -> None:
    buyers = calm.wanted(2 * 1440)

    assert buyers[:1440].tolist() == pytest.approx(buyers[1440:].tolist())
    assert round(float(buyers.max()), 2) == 1.6
    assert round(float(buyers.min()), 2) == 0.4


def test_only_one_service_is_silent_behind_the_calm() -> None:
    shop, db = make.new_series(0, make.labels("a")), make.new_series(1, make.labels("b"))
    named = [
        replace(one, entities=((service, "", "", ""),))
        for one, service in ((shop, "shop"), (db, "db"))
    ]
    slots = calm.slots_of(named, "shop")
    told: Sequence[Logged] = (
        make.samples((0, START_NS, 1.0), (1, START_NS, 2.0)),
        spans(Call(service="shop"), Call(service="db"), Call(service="shop")),
        make.tick(0),
    )

    samples, traced, tick = (calm.without(one, "shop", slots) for one in told)

    assert slots.tolist() == [True, False]
    assert isinstance(samples, SampleBatch)
    assert isinstance(traced, SpanBatch)
    assert samples.slot.tolist() == [1]
    assert [traced.origins[n].entity.service for n in traced.origin.tolist()] == ["db"]
    assert tick == told[2]


def test_pages_are_what_is_counted() -> None:
    found = [
        make.anomaly(severity=severity)
        for severity in (Severity.INFO, Severity.EVIDENCE, Severity.PAGE)
    ]

    assert calm.pages(found) == found[2:]


def test_without_a_folder_nothing_is_recorded() -> None:
    with pytest.raises(Unmeasurable, match="name a folder"):
        calm.run(Options())


def test_a_folder_without_a_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "calm.json").write_text('{"day_s": 1200.0}')

    with pytest.raises(Unmeasurable, match="no beginning"):
        calm.run(Options(data=tmp_path))


async def test_a_recorded_log_is_judged_and_a_watch_that_knows_nothing_fails_the_control(
    tmp_path: Path,
) -> None:
    write(tmp_path, seconds=430)

    figures, notes = await calm.judged(tmp_path, 5, seed=1)

    assert figures["calm_days_pages"] == 0
    assert figures["control_pages"] == 0, "nothing pages before a service is known for an hour"
    assert figures["recorded_minutes"] == 3
    assert figures["spans"] == 5 * 60
    assert figures["calm_days"] < calm.TARGETS["calm_days"][1]
    assert "shop is silent for 10 min" in notes[0]


def write(folder: Path, seconds: int) -> None:
    """What a server logs that is sent a request and a sample a second."""
    (folder / "data").mkdir()
    (folder / calm.FILE).write_text('{"day_s": 1200.0}')
    limits = WalConfig(segment_bytes=1 << 20)
    works = Works(Catalog(installation_key(folder / "data"), CatalogConfig(), Enrich()))
    log = WriteAheadLog(folder / "data" / "log", limits, files=UnsyncedFiles())
    for second in range(seconds):
        now_ns = START_NS + second * NS_PER_S
        sent = make.wire([make.labels("queue", service="shop")], [(0, now_ns, second % 7)])
        found = works.catalog.resolve(DEFAULT_TENANT, sent, now_ns)
        request = spans(Call(trace=second + 1, span=second + 1, parent=0, start_s=second))
        works.door.meet(request, now_ns)
        news = [*works.news, *([] if found.new is None else [found.new])]
        works.news.clear()
        batch = SampleBatch(DEFAULT_TENANT, found.slots, sent.time_ns, sent.value)
        log.append([wire.encode(one) for one in (*news, batch, request, Tick(now_ns + NS_PER_S))])
    log.close()
