"""Faults of the shop, told or not: `watchkeeper evaluate` over a server and a shop of its own.

Both run as anybody runs them. The server is as shipped, but that a service may page as often as it
is broken, and that faults may follow each other within a minute. Nothing pages before a service is
known for an hour, nor its traffic before a day, so a whole run begins with a week of history at the
level at which the shop is: made up, as nobody has recorded that. A quick one asks for minutes
instead, and takes two faults and a stretch without one.

A run takes an hour, so three are made in three sittings: a folder that is named by `--data` keeps
the report, with which the next run is counted together.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from bench import client, peers, shop_past
from bench.peers import Server, Unmeasurable
from bench.report import Target, progress
from bench.suite import Measured, Options, scratch
from watchkeeper.cli.demo.gate import Gate
from watchkeeper.errors import ConfigError
from watchkeeper.evaluate.scenarios import Scenario, read

TARGETS: Final[dict[str, Target]] = {
    "scenarios": (">=", 30),
    "detected": (">=", 0.95),
    "detect_p50_s": ("<=", 10),
    "detect_p95_s": ("<=", 30),
    "false_per_hour": ("<=", 0.5),
}
ROOT: Final = Path(__file__).parents[1]
SCENARIOS: Final = ROOT / "shop" / "scenarios.yaml"
PER_S: Final = 8.0
"""Requests: of 20 within a window a share is judged, and one in seven is a purchase."""
DAYS: Final = 7.0
HOLD_S: Final = 35.0
"""With the time to recover, 26 faults and four stretches without one take an hour, of which twenty
minutes are without a fault."""
CALM_S: Final = 245.0
ASKED_S: Final = 60.0
"""What a fault asks for that is no special one."""
REARM_S: Final = 10
READY_S: Final = 180.0
STOP_S: Final = 60.0
FIGURES: Final = {
    "scenarios": "scenarios",
    "detected": "detected",
    "told": "told",
    "detect_p50_s": "detect_p50_s",
    "detect_p95_s": "detect_p95_s",
    "false_per_hour": "false_per_hour",
    "fault_free_hours": "fault_free_hours",
    "cause_top1": "largest_deviation_top1",
    "cause_top3": "largest_deviation_top3",
    "earliest_top1": "earliest_failing_span_top1",
    "earliest_top3": "earliest_failing_span_top3",
    "cpu_cores": "cpu_cores",
    "memory_mib": "memory_mib",
}
"""Ours -> as the report has it. Causes are those of the better of two naive rules, so far."""


@dataclass(frozen=True, slots=True)
class Plan:
    learning_s: float
    """History without which nothing pages."""
    warm_up_s: float
    cool_down_s: float
    only: tuple[str, ...]
    """Empty: all."""
    seed: int
    days: float = 0.0
    """Of history that is imported before."""
    hold_s: float | None = None
    """How long a fault stays that asks for a minute; None leaves it."""
    calm_s: float | None = None
    """How long a stretch without a fault is."""


def run(options: Options) -> Measured:
    plan = plan_of(options, scenarios(SCENARIOS))
    with scratch("evaluate", options) as folder:
        recipe = peers.watchkeeper(folder, settings(plan))
        with Server(recipe, folder, core=None) as server:
            url = f"http://{client.HOST}:{server.wait_ready().port}"
            with Gate(url) as gate, shop(folder / "shop", gate.url, gate=gate) as home:
                if plan.days:
                    levels = shop_past.measured(gate)
                    shop_past.bring(levels, url, days=plan.days, seed=plan.seed)
                    shop_past.let_in(gate, levels)
                else:
                    gate.open()
                told = evaluated(plan, url, home, kept=options.data)
    return figures(told), notes(plan, told)


def scenarios(file: Path) -> tuple[Scenario, ...]:
    try:
        return read(file.read_text(), file.name)
    except ConfigError as error:
        raise Unmeasurable(str(error)) from error


def plan_of(options: Options, listed: Sequence[Scenario]) -> Plan:
    """All of it; quickly: the first two faults, and the first that is none."""
    if not options.quick:
        return Plan(3600.0, 120.0, 55.0, (), options.seed, days=DAYS, hold_s=HOLD_S, calm_s=CALM_S)
    faults = [one.name for one in listed if not one.fault_free][:2]
    calm = [one.name for one in listed if one.fault_free][:1]
    return Plan(120.0, 180.0, 30.0, (*faults, *calm), options.seed)


def settings(plan: Plan) -> Mapping[str, Any]:
    """How strange something has to be stays as it is."""
    symptoms = {
        "use": "symptoms",
        "learning_s": plan.learning_s,
        "budget": {"per_subject_and_day": 60, "rearm_s": REARM_S},
    }
    return {"detection": {"watchers": [symptoms, {"use": "no_data"}]}}


@contextmanager
def shop(home: Path, url: str, *words: str, gate: Gate | None = None) -> Iterator[Path]:
    """A shop that is open, in a folder; gone at the end, whatever happened. `words` are more of
    its command line; a `gate` is started when it is, so that nobody else comes first."""
    home.mkdir()
    log = home.with_suffix(".log")
    command = [sys.executable, "-m", "shop", "--home", str(home), "--watchkeeper", url]
    command += ["--per-second", f"{PER_S:g}", *words]
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    if gate is not None:
        gate.start()
    try:
        is_open = client.wait_until(
            lambda: (home / "shop.json").exists() or process.poll() is not None,
            timeout_s=READY_S,
        )
        if not is_open or process.poll() is not None:
            raise Unmeasurable(f"the shop did not open: {log.read_text(errors='replace')[-1500:]}")
        yield home
    finally:
        _stop(process)


def listed(plan: Plan, file: Path) -> Path:
    """The shop's list, with the times of the plan."""
    whole = yaml.safe_load(SCENARIOS.read_text())
    for one in whole["scenarios"]:
        if one["fault_free"]:
            one["hold_s"] = plan.calm_s or one["hold_s"]
        elif one["hold_s"] == ASKED_S:
            one["hold_s"] = plan.hold_s or one["hold_s"]
    file.write_text(yaml.safe_dump(whole))
    return file


def evaluated(plan: Plan, url: str, home: Path, *, kept: Path | None = None) -> Mapping[str, Any]:
    """What the command reports; its own progress is ours. Earlier runs that were `kept` count as
    well, and this one is kept with them."""
    file = listed(plan, home.with_name("scenarios.yaml"))
    command = [sys.executable, "-m", "watchkeeper", "evaluate", str(file), "--json"]
    command += ["--server", url, "--home", str(home), "--seed", str(plan.seed)]
    folder = home.with_name("report") if kept is None else kept
    command += ["--report", str(folder)]
    if (folder / "report.json").exists():
        command += ["--merge", str(folder / "report.json")]
    command += ["--warm-up", f"{plan.warm_up_s:g}", "--cool-down", f"{plan.cool_down_s:g}"]
    command += [word for name in plan.only for word in ("--only", name)]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        out, _ = process.communicate()
    finally:
        _stop(process)  # whoever interrupts us: it mends what it broke, and ends
    progress(f"evaluated in {time.monotonic() - began:.0f} s")
    if process.returncode not in (0, 1):
        raise Unmeasurable(f"watchkeeper evaluate ended with {process.returncode}")
    told: Mapping[str, Any] = json.loads(out)
    return told


def figures(told: Mapping[str, Any]) -> dict[str, float]:
    """What is not known is missing."""
    found = {name: told["figures"].get(theirs) for name, theirs in FIGURES.items()}
    return {name: float(value) for name, value in found.items() if value is not None}


def notes(plan: Plan, told: Mapping[str, Any]) -> list[str]:
    """What did not count, and why: by name."""
    ran = told["runs"][-1]
    before = f"{plan.days:g} days of made-up history and " if plan.days else ""
    said = [f"{before}{plan.warm_up_s:g} s before the first fault; seed {plan.seed}"]
    said += [
        f"{one['scenario']}: {one['outcome']}. {one['reason']}".rstrip(". ")
        for one in ran["attempts"]
        if one["outcome"] != "manifested"
    ]
    if ran["left_out"]:
        said.append(f"no time for: {', '.join(ran['left_out'])}")
    return said


def _stop(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
