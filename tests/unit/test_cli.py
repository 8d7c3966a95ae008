"""The command line: what it prints, how it ends, and how it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.stub import Reply, Stub, serving
from tests.unit.test_sdk import ANOMALY
from watchkeeper import __version__, cli
from watchkeeper.cli.completions import table
from watchkeeper.cli.exits import Exit, exit_of
from watchkeeper.errors import BadInput, ConfigError, Permanent, Retryable, TooLarge

AIOPS = Path(__file__).parent / "testdata" / "aiops.yaml"


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


Ran = tuple[int, str, str]


def ran(capsys: pytest.CaptureFixture[str], *argv: str) -> Ran:
    """(status, output, errors)"""
    status = cli.main(argv)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_version_is_told_to_people_and_programs(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = ran(capsys, "version")
    assert status == 0
    assert out.startswith(f"watchkeeper {__version__} (Python 3.")

    _, out, _ = ran(capsys, "version", "--json")
    assert json.loads(out)["version"] == __version__


def test_help_comes_at_once_and_without_the_servers_imports() -> None:
    code = (
        "import sys, time\n"
        "from watchkeeper import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(time.process_time(), file=sys.stderr)\n"
        "heavy = {'numba', 'numpy', 'httpx', 'rich', 'msgspec', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )

    took = min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr)
        for _ in range(3)
    )

    assert took < 0.15


@pytest.mark.parametrize("argv", [[], ["no-such"], ["query"], ["run", "--no-such"], ["config"]])
def test_wrong_usage_ends_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)

    assert ended.value.code == 2
    assert "usage: watchkeeper" in capsys.readouterr().err


def test_every_command_has_json_and_debug_and_says_what_it_does() -> None:
    words = table(cli.build_parser())

    for path, choices in words.items():
        leaf = path and path not in {
            name for name, entry in cli.COMMANDS.items() if entry.has_verbs
        }
        assert not leaf or {"--json", "--debug"} <= {choice.word for choice in choices}, path
        assert all(choice.says for choice in choices), path


def test_each_kind_of_failure_has_its_own_status() -> None:
    errors = [ConfigError("x"), BadInput("x"), TooLarge("x"), Retryable("x"), Permanent("x")]

    assert [exit_of(error) for error in errors] == [2, 3, 3, 4, 5]


def test_a_failure_is_one_line_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = ran(capsys, "config", "check", "no.yaml")

    assert (status, out) == (Exit.USAGE, "")
    assert err == (
        "watchkeeper config: no.yaml: cannot be read: No such file or directory; "
        "name another --config\n"
    )


def test_a_failure_is_json_for_programs_and_a_traceback_with_debug(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, _, err = ran(capsys, "config", "check", "no.yaml", "--json")
    assert json.loads(err)["error"]["kind"] == "ConfigError"

    with pytest.raises(ConfigError):
        cli.main(["config", "check", "no.yaml", "--debug"])


def test_a_server_that_is_away_is_named_with_the_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, _, err = ran(capsys, "query", "up", "--url", "http://127.0.0.1:9")

    assert status == Exit.LATER
    assert err.count("\n") == 1
    assert "cannot reach http://127.0.0.1:9" in err
    assert "start it with `watchkeeper run`, or name another --url" in err


def test_a_mistake_of_ours_says_so_in_one_line() -> None:
    code = (
        "import sys; from watchkeeper import cli\n"
        "cli._load = lambda name: type('C', (), {'arguments': staticmethod(lambda p: None),"
        " 'run': staticmethod(lambda g: 1 / 0)})\n"
        "sys.exit(cli.main(['version', *sys.argv[1:]]))"
    )

    plain = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    debug = subprocess.run([sys.executable, "-c", code, "--debug"], capture_output=True, text=True)

    assert plain.stderr.startswith("watchkeeper: a mistake of ours: ZeroDivisionError")
    assert plain.stderr.count("\n") == 1
    assert "Traceback" in debug.stderr


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    command = f"{sys.executable} -m watchkeeper completions fish | head -1"

    ended = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True)

    assert ended.stderr == b""


def test_config_check_is_honest_about_what_is_not_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "https://hooks.example/secret")
    monkeypatch.setenv("PAGERDUTY_KEY", "pd-secret")

    status, out, _ = ran(capsys, "config", "check", str(AIOPS))

    assert status == 0
    assert out.splitlines()[:3] == [
        f"{AIOPS}: sound",
        "accepted, not used by this version yet:",
        "  aiops: enabled",
    ]
    assert "log_level" not in out

    _, out, _ = ran(capsys, "config", "check", str(AIOPS), "--json")
    told = json.loads(out)
    assert told["ok"]
    assert told["unused"]["aiops.enabled"] == f"{AIOPS}:2"

    for options in ([], ["--json"], ["--origin"], ["--origin", "--json"]):
        _, out, _ = ran(capsys, "config", "show", str(AIOPS), *options)
        assert "secret" not in out
        assert "***" in out


def test_config_faults_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    Path("watchkeeper.yaml").write_text("servr: 1\ntelemetry: {level: loud}\n")

    status, _, err = ran(capsys, "config", "check")

    assert status == Exit.USAGE
    assert err.splitlines() == [
        "watchkeeper config: servr: unknown key; did you mean 'server'? (watchkeeper.yaml:1)",
        "watchkeeper config: telemetry.level: 'loud' is not one of: debug, info, warning, error "
        "(watchkeeper.yaml:2)",
    ]


def test_flags_set_keys_and_are_told_as_origin(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = ran(capsys, "config", "show", "--set", "server.port=9000", "--origin", "--json")

    assert json.loads(out)["server.port"] == {"value": 9000, "origin": "flag --set"}

    status, _, err = ran(capsys, "config", "show", "--set", "server.port")
    assert status == Exit.USAGE
    assert "is no KEY=VALUE, such as server.port=8200" in err


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = ran(capsys, "config", "schema")

    assert "server" in json.loads(out)["properties"]


SERIES = {
    "series": [
        {"labels": {"__name__": "up", "job": "a"}, "points": [[1, 1], [61, 3], [121, "NaN"]]},
        {"labels": {"job": "b"}, "points": [[1, 20000], [61, 5]]},
    ]
}


def test_a_query_prints_each_series_with_its_course(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.routes["/api/v1/metrics/query"] = Reply(200, SERIES)

    status, out, _ = ran(capsys, "query", "up", "--url", stub.url, "--from", "1h", "--agg", "sum")

    assert status == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[1] == ['up{job="a"}', "3", "1", "2", "3", "nan", "▁█"]
    assert lines[2] == ['{job="b"}', "2", "5", "10k", "20k", "5", "█▁"]
    asked = stub.asked[0].params
    assert asked["step"] == "60s"
    assert asked["across"] == "sum"
    assert float(asked["end"]) - float(asked["start"]) == pytest.approx(3600)


def test_a_query_prints_points_or_json(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.routes["/api/v1/metrics/query"] = Reply(200, SERIES)

    _, out, _ = ran(capsys, "query", "up", "--url", stub.url, "--points")
    assert out.splitlines()[1].split() == ["1970-01-01", "00:00:01", "1", 'up{job="a"}']
    assert "step" not in stub.asked[0].params

    _, out, _ = ran(capsys, "query", "up", "--url", stub.url, "--json", "--step", "5m")
    assert json.loads(out)["series"][0]["labels"] == {"__name__": "up", "job": "a"}
    assert stub.asked[1].params["step"] == "300s"


def test_a_query_that_finds_nothing_ends_with_1(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.routes["/api/v1/metrics/query"] = Reply(200, {"series": []})

    status, out, err = ran(capsys, "query", "up", "--url", stub.url, "--step", "raw")

    assert (status, out) == (Exit.NO, "")
    assert "nothing found" in err


def test_more_series_than_asked_for_are_told(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.routes["/api/v1/metrics/query"] = Reply(200, SERIES)

    _, out, err = ran(capsys, "query", "up", "--url", stub.url, "--limit", "1")

    assert len(out.splitlines()) == 2
    assert "1 more series; --limit 2 prints them" in err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["query", "up", "--from", "soon"], "--from: 'soon' is no time; write one of: 1h (ago)"),
        (["query", "up", "--step", "often"], "--step: 'often' is not a duration such as"),
    ],
)
def test_times_that_are_none_are_named(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = ran(capsys, *argv)

    assert status == Exit.USAGE
    assert message in err


def test_the_servers_own_words_are_passed_on(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    detail = "query: 'up{' is no selector: unexpected end"
    stub.routes["/api/v1/metrics/query"] = Reply(400, {"title": "Bad", "detail": detail})

    status, _, err = ran(capsys, "query", "up{", "--url", stub.url)

    assert (status, err) == (Exit.REFUSED, f"watchkeeper query: {detail}\n")


def test_anomalies_are_listed_with_what_was_expected(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = {**ANOMALY, "status": "closed", "ended_at": "2026-01-05T11:30:00Z"}
    stub.routes["/api/v1/anomalies"] = Reply(200, {"items": [ANOMALY, closed], "cursor": None})

    status, out, _ = ran(
        capsys, "anomalies", "--url", stub.url, "--since", "2026-01-05T00:00:00Z",
        "--service", "payment", "--limit", "2",
    )  # fmt: skip

    assert status == 0
    head, first, second = out.splitlines()
    assert head.split()[:3] == ["started", "(UTC)", "severity"]
    assert "2026-01-05 10:00:00" in first
    assert "up to 1.5" in first
    assert "1e-06" in first
    assert "1h 30m" in second
    params = stub.asked[0].params
    assert params["service"] == "payment"
    assert float(params["since"]) == 1767571200.0


def test_no_anomalies_are_said_to_be_none(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.routes["/api/v1/anomalies"] = Reply(200, {"items": [], "cursor": None})

    status, out, err = ran(capsys, "anomalies", "--url", stub.url)
    assert (status, out) == (0, "")
    assert "no anomalies" in err

    _, out, _ = ran(capsys, "anomalies", "--url", stub.url, "--json")
    assert json.loads(out) == {"items": []}


LINKED = {
    "items": [
        {
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "root": {"service": "web", "name": "GET /"},
            "start": "2026-01-05T10:00:00Z",
            "duration_ms": 950.0,
            "n_spans": 3,
            "why": ["failed", "slow"],
            "span": {"name": "POST /pay", "start": "2026-01-05T10:00:00.1Z", "duration_ms": 720.0},
        }
    ],
    "exemplars": [{"time": "2026-01-05T10:00:00Z", "value": 0.7, "trace_id": None}],
}


def test_one_anomaly_is_told_with_its_traces(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.routes["/api/v1/anomalies/a1"] = Reply(200, ANOMALY)
    stub.routes["/api/v1/anomalies/a1/traces"] = Reply(200, LINKED)

    _, out, _ = ran(capsys, "anomalies", "a1", "--url", stub.url)
    _, as_json, _ = ran(capsys, "anomalies", "a1", "--url", stub.url, "--json")

    assert "failed, slow" in out
    assert "0af7651916cd43dd8448eb211c80319c" in out
    assert json.loads(as_json)["traces"]["items"][0]["span"]["name"] == "POST /pay"


def test_one_anomaly_is_explained(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.routes["/api/v1/anomalies/a1"] = Reply(200, ANOMALY)
    stub.routes["/api/v1/anomalies/a1/traces"] = Reply(200, {"items": []})

    _, out, _ = ran(capsys, "anomalies", "a1", "--url", stub.url)
    assert "1e-06, 1 in 1M by the tail of its own history" in out
    assert "fk (level 3.5)" in out
    assert "still open" in out

    _, out, _ = ran(capsys, "anomalies", "a1", "--url", stub.url, "--json")
    assert json.loads(out)["id"] == "a1"

    gone = {**ANOMALY, "status": "closed", "ended_at": "2026-01-05T11:30:00Z", "gone": "silent"}
    stub.routes["/api/v1/anomalies/a1"] = Reply(200, gone)
    _, out, _ = ran(capsys, "anomalies", "a1", "--url", stub.url)
    assert "2026-01-05 11:30:00, gone: silent" in out

    status, _, err = ran(capsys, "anomalies", "a2", "--url", stub.url)
    assert (status, err) == (Exit.NEVER, "watchkeeper anomalies: no /api/v1/anomalies/a2\n")


def sse(*events: tuple[str, str, dict[str, Any]]) -> Reply:
    text = "".join(f"id: {i}\nevent: {name}\ndata: {json.dumps(d)}\n\n" for i, name, d in events)
    return Reply(200, text.encode(), {"content-type": "text/event-stream"})


def test_following_prints_changes_and_resumes_until_it_is_refused(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {**ANOMALY, "service": "cart", "metric": "m2", "labels": {"__name__": "m2"}}
    stub.routes["/api/v1/anomalies/stream"] = [
        sse(("7", "anomaly", ANOMALY), ("8", "anomaly", other)),
        sse(("9", "reset", {})),
    ]

    status, out, err = ran(
        capsys, "anomalies", "--follow", "--after", "6", "--service", "payment", "--url", stub.url
    )

    assert status == Exit.NEVER  # the stub's third answer is 404, which is for good
    (line,) = out.splitlines()
    assert 'open   evidence  latency_seconds{service="payment"}  4, expected up to 1.5' in line
    assert "changes were missed here" in err
    assert [asked.headers["last-event-id"] for asked in stub.asked] == ["6", "8", "9"]


def test_following_gives_lines_of_json(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.routes["/api/v1/anomalies/stream"] = [sse(("7", "anomaly", ANOMALY), ("8", "reset", {}))]

    _, out, _ = ran(capsys, "anomalies", "--follow", "--json", "--url", stub.url)

    first, second = (json.loads(line) for line in out.splitlines())
    assert (first["position"], first["anomaly"]["id"]) == ("7", "a1")
    assert second["anomaly"] is None


def test_the_environment_names_the_server_and_tenant(
    stub: Stub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.routes["/api/v1/anomalies"] = Reply(200, {"items": [], "cursor": None})
    monkeypatch.setenv("WATCHKEEPER_URL", stub.url)
    monkeypatch.setenv("WATCHKEEPER_TENANT", "shop")

    assert ran(capsys, "anomalies")[0] == 0

    assert stub.asked[0].headers["x-scope-orgid"] == "shop"


ACCEPTED = Reply(200, {"status": "ok", "accepted": 2, "rejected": []})
POINTS = [{"name": "up", "value": 1}, {"name": "up", "value": 2}]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"metrics": POINTS}),
        json.dumps(POINTS),
        "\n".join(json.dumps(point) for point in POINTS) + "\n\n",
        json.dumps({"metrics": POINTS}, indent=2),
    ],
)
def test_a_file_of_points_is_sent_in_any_of_its_forms(
    stub: Stub, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.routes["/api/v1/metrics/write"] = ACCEPTED
    Path("points.json").write_text(text)

    status, out, _ = ran(capsys, "send", "points.json", "--url", stub.url)

    assert (status, out) == (0, "2 samples accepted in 1 requests\n")
    assert json.loads(stub.asked[0].body) == {"metrics": POINTS}


def test_a_single_point_is_sent(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.routes["/api/v1/metrics/write"] = ACCEPTED
    Path("one.json").write_text(json.dumps(POINTS[0], indent=1))

    assert ran(capsys, "send", "one.json", "--url", stub.url)[0] == 0

    assert json.loads(stub.asked[0].body) == {"metrics": POINTS[:1]}


def test_points_that_were_refused_are_told_and_end_with_3(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    rejected = [{"reason": "too_old", "count": 1, "detail": "older than an hour"}]
    partial = Reply(200, {"status": "partial", "accepted": 1, "rejected": rejected})
    stub.routes["/api/v1/metrics/write"] = partial
    Path("points.json").write_text(json.dumps(POINTS))

    status, out, _ = ran(capsys, "send", "points.json", "--url", stub.url)
    assert status == Exit.REFUSED
    assert out.splitlines()[1] == "1 not accepted: too_old: older than an hour"

    _, out, _ = ran(capsys, "send", "points.json", "--url", stub.url, "--json")
    assert json.loads(out) == {"accepted": 1, "rejected": rejected}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "points.json: is empty; give at least one point"),
        ("{", "points.json: is no JSON of points"),
        ("7", "points.json: is no JSON of points"),
        ('{"name": "up"}\n{"name"', "points.json:2: is no JSON of a point"),
    ],
)
def test_a_file_that_holds_no_points_is_refused(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("points.json").write_text(text)

    status, _, err = ran(capsys, "send", "points.json")

    assert status == Exit.REFUSED
    assert message in err


def test_generated_samples_are_sent_in_rounds(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.routes["/api/v1/write"] = Reply(204)

    status, out, _ = ran(
        capsys, "send", "--generate", "3", "--rounds", "2", "--every", "0", "--url", stub.url
    )

    assert (status, out) == (0, "6 samples accepted in 2 requests\n")


def test_a_file_and_generated_samples_exclude_each_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, _, err = ran(capsys, "send", "x.json", "--generate", "1")

    assert status == Exit.USAGE
    assert "exclude each other" in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_know_every_command_and_flag(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, script, _ = ran(capsys, "completions", shell)

    for word in ("anomalies", "import", "schema", "resume-file", "over-time"):
        assert word in script
    _, out, _ = ran(capsys, "completions", shell, "--json")
    assert json.loads(out)["script"] == script


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("watchkeeper an", ["anomalies"]),
        ("watchkeeper config s", ["show", "schema"]),
        ("watchkeeper config show --or", ["--origin"]),
        ("watchkeeper completions ", ["bash", "zsh", "fish"]),
    ],
)
def test_bash_completes(line: str, some: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    _, script, _ = ran(capsys, "completions", "bash")
    words = line.split(" ")
    ask = (
        f"{script}\nCOMP_WORDS=({' '.join(w or chr(39) * 2 for w in words)})\n"
        f"COMP_CWORD={len(words) - 1}\n_watchkeeper\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    )

    ended = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)

    assert set(some) <= set(ended.stdout.split())
    assert all(word.startswith(words[-1]) for word in ended.stdout.split())


def test_commands_that_ask_do_without_the_servers_imports() -> None:
    code = (
        "import sys; from watchkeeper import cli; cli.build_parser()\n"
        "heavy = {'numba', 'duckdb', 'fastapi', 'pyarrow', 'uvicorn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
