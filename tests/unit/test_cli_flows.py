"""What commands do with what they are given: flags at their bounds, answers of every shape."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.stub import Asked, Reply, Stub, serving
from tests.unit.test_sdk import ANOMALY
from watchkeeper import cli
from watchkeeper.cli import times, words
from watchkeeper.cli.completions import SHELLS, table
from watchkeeper.cli.exits import Exit
from watchkeeper.cli.output import Column, Output
from watchkeeper.cli.tally import Tally
from watchkeeper.sdk import Rejected, Written
from watchkeeper.telemetry import Secret

QUERY, LIST, STREAM = "/api/v1/metrics/query", "/api/v1/anomalies", "/api/v1/anomalies/stream"
WRITE_JSON = "/api/v1/metrics/write"


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("WATCHKEEPER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving({}) as found:
        yield found


Said = pytest.CaptureFixture[str]


def ran(said: Said, *argv: str) -> tuple[int, str, str]:
    """(status, output, errors)"""
    status = cli.main(argv)
    out, err = said.readouterr()
    return status, out, err


def series(n: int) -> dict[str, Any]:
    return {"series": [{"labels": {"__name__": "up", "n": str(i)}, "points": [[1, i], [61, i]]}
                       for i in range(n)]}  # fmt: skip


# Numbers as flags


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["anomalies", "--limit", "0"], "'0' is not a whole number >= 1"),
        (["anomalies", "--limit", "-5"], "'-5' is not a whole number >= 1"),
        (["query", "up", "--limit", "0"], "'0' is not a whole number >= 1"),
        (["query", "up", "--limit", "1.5"], "'1.5' is not a whole number >= 1"),
        (["send", "--generate", "0"], "'0' is not a whole number >= 1"),
        (["send", "--generate", "2", "--rounds", "0"], "'0' is not a whole number >= 1"),
        (["send", "--generate", "2", "--every", "-1"], "'-1' is not a number >= 0 and <= 86400"),
        (["send", "--generate", "2", "--every", "nan"], "'nan' is not a number >= 0"),
        (["import", "--from", "http://p", "--days", "0"], "'0' is not a number >= 0.01"),
        (["import", "--from", "http://p", "--days", "inf"], "'inf' is not a number >= 0.01"),
        (["import", "--from", "http://p", "--days", "two"], "'two' is not a number >= 0.01"),
        (["demo", "--port", "65536"], "'65536' is not a whole number >= 0 and <= 65535"),
    ],
    ids=" ".join,
)
def test_a_number_out_of_bounds_is_wrong_usage_before_anything_is_done(
    argv: list[str], said: str, capsys: Said
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)

    assert ended.value.code == Exit.USAGE
    assert said in capsys.readouterr().err


# Queries


@pytest.mark.parametrize(
    ("length", "step"),
    [
        ("30s", "1s"), ("1m", "1s"), ("61s", "5s"), ("5m", "5s"), ("10m", "10s"), ("15m", "15s"),
        ("30m", "30s"), ("1h", "60s"), ("5h", "300s"), ("6h", "900s"), ("1d", "3600s"),
        ("7d", "10800s"), ("15d", "21600s"), ("30d", "86400s"), ("365d", "86400s"),
    ],
)  # fmt: skip
def test_a_course_has_steps_that_people_count_in_and_fits_its_cell(
    stub: Stub, capsys: Said, length: str, step: str
) -> None:
    stub.routes[QUERY] = Reply(200, series(1))

    ran(capsys, "query", "up", "--url", stub.url, "--from", length)

    assert stub.asked[0].params["step"] == step


@pytest.mark.parametrize(
    ("given", "asked"),
    [("90s", "90s"), ("1.5s", "1.5s"), ("1234567s", "1234567s"), ("2w", "1209600s"), ("7", "7s")],
)
def test_a_step_is_asked_for_in_every_digit(
    stub: Stub, capsys: Said, given: str, asked: str
) -> None:
    stub.routes[QUERY] = Reply(200, series(1))

    ran(capsys, "query", "up", "--url", stub.url, "--step", given)

    assert stub.asked[0].params["step"] == asked


@pytest.mark.parametrize(
    ("argv", "has_step"),
    [
        (["--step", "raw"], False),
        (["--points"], False),
        (["--points", "--agg", "sum"], True),  # series must be brought to common times
        (["--points", "--over-time", "max"], True),
        ([], True),
    ],
    ids=str,
)
def test_samples_are_asked_for_raw_where_that_can_be_shown(
    stub: Stub, capsys: Said, argv: list[str], has_step: bool
) -> None:
    stub.routes[QUERY] = Reply(200, series(1))

    ran(capsys, "query", "up", "--url", stub.url, *argv)

    assert ("step" in stub.asked[0].params) is has_step


def test_every_word_of_a_query_reaches_the_server(stub: Stub, capsys: Said) -> None:
    stub.routes[QUERY] = Reply(200, series(1))

    ran(
        capsys, "query", 'up{a="1"}', "--url", stub.url, "--tenant", "shop", "--step", "1m",
        "--from", "2026-01-05T00:00:00Z", "--to", "2026-01-05T01:00:00Z",
        "--over-time", "last", "--agg", "max", "--by", "a,b",
    )  # fmt: skip

    assert stub.asked[0].headers["x-scope-orgid"] == "shop"
    assert stub.asked[0].params == {
        "query": 'up{a="1"}',
        "start": "1767571200.0",
        "end": "1767574800.0",
        "step": "60s",
        "over_time": "last",
        "across": "max",
        "by": "a,b",
    }


@pytest.mark.parametrize(("n", "limit", "n_lines", "more"), [(3, 3, 4, False), (4, 3, 4, True)])
def test_a_limit_prints_just_as_many_and_tells_of_the_rest(
    stub: Stub, capsys: Said, n: int, limit: int, n_lines: int, more: bool
) -> None:
    stub.routes[QUERY] = Reply(200, series(n))

    _, out, err = ran(capsys, "query", "up", "--url", stub.url, "--limit", str(limit))

    assert len(out.splitlines()) == n_lines
    assert ("1 more series; --limit 4 prints them" in err) is more


def test_programs_get_all_series_and_no_remark(stub: Stub, capsys: Said) -> None:
    stub.routes[QUERY] = Reply(200, series(4))

    _, out, err = ran(capsys, "query", "up", "--url", stub.url, "--limit", "1", "--json")

    assert len(json.loads(out)["series"]) == 4
    assert err == ""


def test_nothing_found_is_json_too_and_ends_with_1(stub: Stub, capsys: Said) -> None:
    stub.routes[QUERY] = Reply(200, series(0))

    status, out, err = ran(capsys, "query", "up", "--url", stub.url, "--json")

    assert status == Exit.NO
    assert json.loads(out)["series"] == []
    assert err == ""


def test_a_series_without_a_single_number_is_still_a_row(stub: Stub, capsys: Said) -> None:
    answer = {"series": [{"labels": {"__name__": "up"}, "points": [[1, "NaN"], [2, "+Inf"]]},
                         {"labels": {"__name__": "down"}, "points": []}]}  # fmt: skip
    stub.routes[QUERY] = Reply(200, answer)

    status, out, _ = ran(capsys, "query", "up", "--url", stub.url)

    rows = [line.split() for line in out.splitlines()[1:]]
    assert status == Exit.OK
    assert [row[:2] for row in rows] == [["up", "2"], ["down", "0"]]


# Anomalies


def event(position: int, **fields: Any) -> bytes:
    data = json.dumps(ANOMALY | fields).encode()
    return b"id: %d\nevent: anomaly\ndata: %s\n\n" % (position, data)


@pytest.mark.parametrize("asked", [["a1"], ["--since", "1h"], ["--until", "1h"], ["--limit", "3"]])
def test_what_cannot_be_followed_is_refused_and_not_passed_over(
    stub: Stub, capsys: pytest.CaptureFixture[str], asked: list[str]
) -> None:
    status, _, err = ran(capsys, "anomalies", *asked, "--follow", "--url", stub.url)

    assert status == Exit.USAGE
    assert f"leave out {asked[0].removeprefix('--').replace('a1', 'id')}" in err


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    ("flag", "value", "other"),
    [
        ("--service", "payment", {"service": "cart"}),
        ("--status", "open", {"status": "closed"}),
        ("--detector", "fk", {"detector": "basic"}),
    ],
)
def test_who_follows_is_told_what_they_chose_and_nothing_else(
    stub: Stub, capsys: Said, flag: str, value: str, other: dict[str, str], as_json: bool
) -> None:
    stub.routes[STREAM] = [Reply(200, event(1, **other) + event(2) + event(3, **other))]
    how = ["--json"] if as_json else []

    _, out, _ = ran(capsys, "anomalies", "--follow", flag, value, "--url", stub.url, *how)

    assert len(out.splitlines()) == 1


def test_a_reset_is_told_to_programs_whatever_they_chose(stub: Stub, capsys: Said) -> None:
    stub.routes[STREAM] = [Reply(200, b"event: reset\ndata: {}\n\n")]

    _, out, _ = ran(capsys, "anomalies", "--follow", "--service", "x", "--json", "--url", stub.url)

    assert json.loads(out.splitlines()[0])["anomaly"] is None


def test_a_listing_asks_for_what_was_chosen(stub: Stub, capsys: Said) -> None:
    stub.routes[LIST] = Reply(200, {"items": [], "cursor": None})

    ran(
        capsys, "anomalies", "--url", stub.url, "--status", "closed", "--detector", "fk",
        "--until", "1767571200", "--limit", "7",
    )  # fmt: skip

    assert stub.asked[0].params == {
        "status": "closed",
        "detector": "fk",
        "until": "1767571200.0",
        "limit": "7",
    }


@pytest.mark.parametrize(("n", "said"), [(1, False), (2, True)])
def test_a_full_listing_says_that_there_may_be_more(
    stub: Stub, capsys: Said, n: int, said: bool
) -> None:
    stub.routes[LIST] = Reply(200, {"items": [ANOMALY] * n, "cursor": None})

    _, _, err = ran(capsys, "anomalies", "--url", stub.url, "--limit", "2")

    assert ("the newest 2; --limit prints more" in err) is said


def test_a_listing_goes_on_over_pages_up_to_the_limit(stub: Stub, capsys: Said) -> None:
    def page(asked: Asked) -> Reply:
        n = 2 if asked.params["limit"] == "3" else 1
        return Reply(200, {"items": [ANOMALY] * n, "cursor": "next"})

    stub.routes[LIST] = page

    _, out, _ = ran(capsys, "anomalies", "--url", stub.url, "--limit", "3", "--json")

    assert len(json.loads(out)["items"]) == 3
    assert [asked.params["limit"] for asked in stub.asked] == ["3", "1"]


# Sending


def test_a_large_file_goes_in_portions_in_order(stub: Stub, capsys: Said) -> None:
    points = [{"name": "up", "value": n} for n in range(12_001)]
    Path("points.json").write_text(json.dumps(points))
    stub.routes[WRITE_JSON] = Reply(200, {"status": "ok", "accepted": 1, "rejected": []})

    status, out, _ = ran(capsys, "send", "points.json", "--url", stub.url)

    sent = [json.loads(asked.body)["metrics"] for asked in stub.asked]
    assert (status, out) == (Exit.OK, "3 samples accepted in 3 requests\n")
    assert [len(portion) for portion in sent] == [5000, 5000, 2001]
    assert [point for portion in sent for point in portion] == points


def test_points_come_in_on_standard_input() -> None:
    with serving({WRITE_JSON: Reply(200, {"accepted": 1, "rejected": []})}) as stub:
        command = [sys.executable, "-m", "watchkeeper", "send", "-", "--url", stub.url]
        ended = subprocess.run(command, input=b'{"name": "up", "value": 1}', capture_output=True)

    assert ended.returncode == Exit.OK, ended.stderr
    assert json.loads(stub.asked[0].body) == {"metrics": [{"name": "up", "value": 1}]}


def test_a_refusal_in_the_middle_ends_it_with_the_servers_words(stub: Stub, capsys: Said) -> None:
    Path("points.json").write_text(json.dumps([{"name": "up", "value": n} for n in range(5001)]))
    stub.routes[WRITE_JSON] = [
        Reply(200, {"accepted": 5000, "rejected": []}),
        Reply(413, {"detail": "too large; send less"}),
    ]

    status, _, err = ran(capsys, "send", "points.json", "--url", stub.url)

    assert (status, err) == (Exit.REFUSED, "watchkeeper send: too large; send less\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"metrics": [{"name": "\xff"}]}', "points.json: is no JSON of points"),
        (b"[" * 10_000, "points.json: is no JSON of points"),
        (b'{"name": "up"}\n{"name": "\xff"}', "points.json:2: is no JSON of a point"),
    ],
    ids=["no UTF-8", "too deep", "no UTF-8 in a line"],
)
def test_a_file_that_cannot_be_read_as_points_is_refused(
    capsys: Said, content: bytes, said: str
) -> None:
    Path("points.json").write_bytes(content)

    status, _, err = ran(capsys, "send", "points.json", "--url", "http://127.0.0.1:9")

    assert status == Exit.REFUSED
    assert said in err


def test_a_file_that_is_a_folder_is_wrong_usage(capsys: Said) -> None:
    status, _, err = ran(capsys, "send", ".", "--url", "http://127.0.0.1:9")

    assert (status, err) == (
        Exit.USAGE,
        "watchkeeper send: send: .: cannot be read: Is a directory\n",
    )


# Sums, times, output


def tally(*written: Written, **remedies: str) -> Tally:
    one = Tally(remedies)
    for what in written:
        one.add(what)
    return one


REJECTED = Written(3, (Rejected("too_old", 2, "an hour"), Rejected("future", 1)))


def test_a_sum_is_told_to_people_with_the_remedy(capsys: Said) -> None:
    tally(REJECTED, REJECTED, too_old="import first").tell(Output(as_json=False))

    assert capsys.readouterr().out.splitlines() == [
        "6 samples accepted in 2 requests",
        "4 not accepted: too_old: an hour; import first",
        "2 not accepted: future",
    ]


def test_a_sum_is_told_to_programs_without_words_for_people(capsys: Said) -> None:
    tally(REJECTED, too_old="import first").tell(Output(as_json=True))

    assert json.loads(capsys.readouterr().out) == {
        "accepted": 3,
        "rejected": [
            {"reason": "too_old", "count": 2, "detail": "an hour"},
            {"reason": "future", "count": 1, "detail": ""},
        ],
    }


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1.0), ("500ms", 0.5), ("90", 90.0), ("1h30m", 5400.0)]
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert times.duration_s(text, "--step") == seconds


@pytest.mark.parametrize("text", ["0", "0s", "-5s", "-1", "", "often"])
def test_what_does_not_last_is_no_duration(text: str, capsys: Said) -> None:
    status, _, err = ran(capsys, "query", "up", f"--step={text}")

    assert status == Exit.USAGE
    assert f"--step: '{text}' is not a duration such as" in err


def test_json_shows_no_secret_and_no_infinity(capsys: Said) -> None:
    Output(as_json=True).json({"key": Secret("pw"), "value": float("inf"), "path": Path("a/b")})

    assert json.loads(capsys.readouterr().out) == {"key": "***", "value": None, "path": "a/b"}


def test_programs_hear_no_remarks(capsys: Said) -> None:
    Output(as_json=True).say("starting")
    Output(as_json=False).say("looking")

    assert capsys.readouterr().err == "looking\n"


def test_a_table_in_a_pipe_is_not_cut(capsys: Said) -> None:
    long = "x" * 500

    Output(as_json=False).table([Column("a", may_shrink=True), Column("b")], [(long, "end")])

    assert capsys.readouterr().out.splitlines()[1].split() == [long, "end"]


def test_markup_in_what_others_named_is_shown_as_it_is(stub: Stub, capsys: Said) -> None:
    """A label is whatever a sender says; it must neither colour nor break what is printed."""
    odd = {"__name__": "up", "path": "[red]x[/red] [/]"}
    stub.routes[QUERY] = Reply(200, {"series": [{"labels": odd, "points": [[1, 1]]}]})

    status, out, _ = ran(capsys, "query", "up", "--url", stub.url)

    assert status == Exit.OK
    assert 'up{path="[red]x[/red] [/]"}' in out


@pytest.mark.parametrize("shell", SHELLS)
def test_a_completion_script_knows_every_word(shell: str, capsys: Said) -> None:
    _, out, _ = ran(capsys, "completions", shell)

    for path, choices in table(cli.build_parser()).items():
        for choice in choices:
            bare = choice.word.lstrip("-") if shell == "fish" else choice.word
            assert bare in out, f"{path}: {choice.word}"


def test_a_completion_script_is_told_to_programs_whole(capsys: Said) -> None:
    _, plain, _ = ran(capsys, "completions", "bash")
    _, told, _ = ran(capsys, "completions", "bash", "--json")

    assert json.loads(told) == {"shell": "bash", "script": plain}


def test_an_unknown_size_is_told_in_its_unit() -> None:
    assert [words.size(n) for n in (0, 1023, 1024, 1536, 2**40 * 3)] == [
        "0 B",
        "1023 B",
        "1 KiB",
        "1.5 KiB",
        "3 TiB",
    ]
