"""The demo: what it makes up, and when it says that the planted anomaly was found."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.unit.stub import Reply, serving
from tests.unit.test_sdk import ANOMALY
from watchkeeper.cli import demo
from watchkeeper.cli.demo import judge
from watchkeeper.cli.output import Output
from watchkeeper.cli.server import Server
from watchkeeper.cli.shop import LATENCY, Planted, Shop, shop
from watchkeeper.cli.tally import Tally
from watchkeeper.errors import Permanent
from watchkeeper.sdk import Anomaly, Client, TimeSeries
from watchkeeper.sdk.series import count

START_S = 1_767_571_200.0
N_STEPS = 2 * 86_400 // 60
PLANTED = Planted(start_s=START_S + 86_400, end_s=START_S + 86_400 + 600)


@pytest.fixture(scope="module")
def two_days() -> Shop:
    return shop(START_S, N_STEPS, 60.0, planted=PLANTED, seed=1)


def of(week: Shop, metric: str, service: str) -> list[TimeSeries]:
    return [
        one
        for one in week.series
        if one.labels["__name__"] == metric and one.labels["service"] == service
    ]


def test_the_shop_is_forty_series_each_by_itself(two_days: Shop) -> None:
    names = {tuple(sorted(one.labels.items())) for one in two_days.series}

    assert len(names) == len(two_days.series) == 40
    assert {len(one) for one in two_days.series} == {N_STEPS}
    assert all(np.isfinite(one.value).all() for one in two_days.series)


def test_the_shop_can_be_repeated_and_another_seed_is_another(two_days: Shop) -> None:
    again = shop(START_S, N_STEPS, 60.0, planted=PLANTED, seed=1)
    other = shop(START_S, N_STEPS, 60.0, planted=PLANTED, seed=2)

    def same(left: Shop, right: Shop) -> bool:
        pairs = zip(left.series, right.series, strict=True)
        return all(np.array_equal(one.value, two.value) for one, two in pairs)

    assert same(two_days, again)
    assert not same(two_days, other)


def test_counters_only_grow_and_days_have_a_rhythm(two_days: Shop) -> None:
    for one in two_days.series:
        if one.labels["__name__"].endswith("_total"):
            assert (np.diff(one.value) >= 0).all()
    (requests, *_) = of(two_days, "http_requests_total", "gateway")[1:]
    hourly = np.diff(requests.value[::60])
    assert hourly.max() > 3 * hourly.min()


def test_one_series_goes_wrong_for_a_while_and_no_other(two_days: Shop) -> None:
    quiet = Planted(start_s=0.0, end_s=0.0)
    usual = shop(START_S, N_STEPS, 60.0, planted=quiet, seed=1)

    ratios = {
        tuple(sorted(one.labels.items())): (one.value + 1e-9) / (two.value + 1e-9)
        for one, two in zip(two_days.series, usual.series, strict=True)
    }
    wrong = {labels: r for labels, r in ratios.items() if not np.allclose(r, 1)}

    ((labels, ratio),) = wrong.items()
    assert dict(labels)["__name__"] == LATENCY
    assert dict(labels)["service"] == "payment"
    assert np.flatnonzero(ratio > 1.5).tolist() == list(range(1440, 1450))
    assert ratio.max() == pytest.approx(4.0)


def test_windows_tell_everything_once_in_order(two_days: Shop) -> None:
    windows = list(two_days.windows(0, 1000, 120))

    assert sum(count(window) for window in windows) == 1000 * 40
    times = [int(t) for window in windows for t in window[0].time_ms]
    assert times == two_days.time_ms[:1000].tolist()


def anomaly(**changed: Any) -> Anomaly:
    labels = {"__name__": LATENCY, "service": "payment"}
    peak = datetime.fromtimestamp(PLANTED.start_s + 60, UTC).isoformat()
    return msgspec.convert(
        {**ANOMALY, "metric": LATENCY, "labels": labels, "peak_at": peak, **changed},
        Anomaly,
        strict=False,
    )


def test_the_planted_episode_counts_as_found() -> None:
    found = anomaly()

    verdict = judge([found], PLANTED)

    assert verdict.first == found
    assert verdict.is_planted


def test_an_unplanted_episode_that_is_stranger_outranks_it() -> None:
    other = anomaly(labels={"__name__": "x", "service": "cart"}, p_value=1e-9)

    verdict = judge([anomaly(), other], PLANTED)

    assert verdict.first == other
    assert not verdict.is_planted


def test_a_tie_is_no_outranking() -> None:
    other = anomaly(labels={"__name__": "x", "service": "cart"})

    assert judge([other, anomaly()], PLANTED).is_planted


def test_what_is_no_evidence_or_before_its_time_is_not_it() -> None:
    before = datetime.fromtimestamp(PLANTED.start_s - 60, UTC).isoformat()

    assert judge([anomaly(severity="info")], PLANTED).first is None
    assert not judge([anomaly(peak_at=before)], PLANTED).is_planted
    assert judge([], PLANTED).first is None


def test_services_that_fall_silent_behind_the_import_are_no_finding() -> None:
    silent = anomaly(metric="", labels={"service": "cart", "symptom": "silence"}, p_value=1e-30)

    assert judge([silent], PLANTED).first is None
    assert judge([silent, anomaly()], PLANTED).is_planted


def output(*, as_json: bool = False) -> Output:
    return Output(as_json=as_json)


def test_the_past_is_sent_whole_and_refusals_end_the_demo(two_days: Shop) -> None:
    bodies = [Reply(204)] * 3
    with serving({"/api/v1/write": bodies}) as stub, Client(stub.url) as client:
        tally = demo.bring(two_days, 1440, client, output())
        assert tally.n_accepted == 1440 * 40
        assert len(stub.asked) == 3

    said = b"0 samples accepted; not accepted: 7 samples: future (set the clock)"
    with (
        serving({"/api/v1/write": Reply(400, said)}) as stub,
        Client(stub.url) as client,
        pytest.raises(Permanent, match="were not accepted; report this"),
    ):
        demo.bring(two_days, 10, client, output())


def listed(*found: dict[str, Any]) -> Reply:
    return Reply(200, {"items": list(found), "cursor": None})


PLANTED_ANOMALY = {
    **ANOMALY,
    "labels": {"__name__": LATENCY, "service": "payment"},
    "metric": LATENCY,
    "peak_at": datetime.fromtimestamp(PLANTED.start_s + 60, UTC).isoformat(),
}


def test_the_demo_waits_until_something_is_found() -> None:
    answers = [listed(), listed({**PLANTED_ANOMALY, "severity": "info"}), listed(PLANTED_ANOMALY)]
    with serving({"/api/v1/anomalies": answers}) as stub, Client(stub.url) as client:
        verdict = demo.wait(client, PLANTED)

    assert verdict.is_planted
    assert float(stub.asked[0].params["since"]) == PLANTED.start_s


def test_the_demo_gives_up_in_the_end() -> None:
    with serving({"/api/v1/anomalies": listed()}) as stub, Client(stub.url) as client:
        assert demo.wait(client, PLANTED, patience_s=0.0).first is None


def test_what_was_found_is_shown_with_its_course(capsys: pytest.CaptureFixture[str]) -> None:
    start_s = PLANTED.start_s - 600
    points = [[start_s + 60 * n, 4.0 if n >= 10 else 1.0] for n in range(12)]
    series = {"series": [{"labels": PLANTED_ANOMALY["labels"], "points": points}]}
    with serving({"/api/v1/metrics/query": Reply(200, series)}) as stub, Client(stub.url) as client:
        demo.tell(judge([anomaly()], PLANTED), client, Tally(), output())

    said = capsys.readouterr().out
    assert "found, and it is the one that was planted" in said
    assert "▁▁▁▁▁▁▁▁▁▁██" in said
    assert "up to 1.5" in said
    assert stub.asked[0].params["query"] == LATENCY + '{service="payment"}'


def test_another_find_and_no_find_are_said_to_be_so(capsys: pytest.CaptureFixture[str]) -> None:
    other = anomaly(labels={"__name__": "x", "service": "cart"})
    nothing = Reply(200, {"series": []})
    with serving({"/api/v1/metrics/query": nothing}) as stub, Client(stub.url) as client:
        demo.tell(judge([other], PLANTED), client, Tally(), output())
        demo.tell(judge([], PLANTED), client, Tally(), output())

    said = capsys.readouterr().out
    assert "found another" in said
    assert "nothing was found within 60 s, although one was planted" in said


def test_programs_are_told_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    with Client("http://127.0.0.1:9") as client:
        demo.tell(judge([anomaly()], PLANTED), client, Tally(), output(as_json=True))

    told = json.loads(capsys.readouterr().out)
    assert (told["is_planted"], told["found"]["id"], told["samples"]) == (True, "a1", 0)


def test_a_stopped_server_can_be_stopped_again(tmp_path: Path) -> None:
    with serving({"/health": Reply(200, {"status": "ok"})}) as stub:
        server = Server(tmp_path)
        with Client(stub.url) as client:
            server.wait_until_well(client)
        server.stop()
        server.stop()
