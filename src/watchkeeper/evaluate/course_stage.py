"""One run: warm up; break, look, mend and rest, scenario by scenario; and leave nothing broken."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from watchkeeper.errors import Retryable
from watchkeeper.evaluate.causes import EARLIEST, LARGEST, earliest, largest, within
from watchkeeper.evaluate.commands_stage import LACKING, Done, Interrupts, perform
from watchkeeper.evaluate.plan import Step, expected_s, length_s, plan
from watchkeeper.evaluate.records import Attempt, Outcome, Run
from watchkeeper.evaluate.scenarios import Scenario, words
from watchkeeper.evaluate.watch_stage import Pace, Watch

GRACE_S: Final = 60.0
"""So long after its end a fault may still be told, if the time to recover is as long."""
LONGEST_S: Final = 65 * 60.0
"""Behind the time to warm up."""
_CHECK_S: Final = 2.0
_LOOK_S: Final = 1.0


class Asked(NamedTuple):
    scenarios: Sequence[Scenario]
    seed: int
    home: str = ""
    warm_up_s: float = 600.0
    cool_down_s: float = 60.0
    longest_s: float = LONGEST_S


class _Broken(NamedTuple):
    """What came of breaking it."""

    outcome: Outcome
    started_s: float
    manifested_s: float | None = None
    reason: str = ""


class Course:
    """Whoever uses one keeps `Interrupts.heard` around it."""

    def __init__(
        self,
        asked: Asked,
        watch: Watch,
        pace: Pace,
        interrupts: Interrupts,
        tell: Callable[[str], None],
    ) -> None:
        self._asked = asked
        self._watch = watch
        self._pace = pace
        self._interrupts = interrupts
        self._tell = tell
        self._attempts: list[Attempt] = []
        self._broken: tuple[Step, float] | None = None
        """What is not mended yet, and since when."""
        self._stuck = ""
        """Why nothing more may be done: something could not be mended."""

    def run(self, number: int, first: Collection[str] = ()) -> Run:
        """To its end, or until somebody interrupts; what was done by then is told in any case."""
        begun_s = self._pace.now_s()
        steps = plan(self._asked.scenarios, seed=self._asked.seed, run=number, first=first)
        left_out: list[str] = []
        warmed_s: float | None = None
        was_interrupted = False
        try:
            self._tell(f"run {number}: {self._foreseen(steps)}")
            self._tell(f"run {number}: warming up for {self._asked.warm_up_s:g} s")
            self._rest(self._asked.warm_up_s)
            warmed_s = self._pace.now_s()
            for place, step in enumerate(steps, 1):
                if self._stuck or not self._fits(step, warmed_s):
                    left_out.append(step.scenario.name)
                    continue
                self._tell(f"{place} of {len(steps)}: {step.scenario.name}, "
                           f"intensity {step.intensity:g}")  # fmt: skip
                self._attempt(step)
        except KeyboardInterrupt:
            was_interrupted = True
        finally:  # nothing stays broken, whatever happened
            self._abandon()
        counted_s = self._pace.now_s() if warmed_s is None else warmed_s
        return Run(
            server=self._watch.url,
            seed=self._asked.seed,
            number=number,
            begun_s=begun_s,
            warmed_s=counted_s,
            ended_s=self._pace.now_s(),
            grace_s=self._grace_s,
            attempts=tuple(self._attempts),
            found=tuple(self._watch.found.values()),
            usage=tuple(one for one in self._watch.usage if one.at_s >= counted_s),
            left_out=tuple(left_out),
            unheard=self._watch.unheard,
            interrupted=was_interrupted or bool(self._stuck),
        )

    @property
    def _grace_s(self) -> float:
        return min(GRACE_S, self._asked.cool_down_s)

    def _foreseen(self, steps: Sequence[Step]) -> str:
        """What there is time for. Commands take some of it, so it is the most."""
        lasts_s, n = expected_s(steps, self._asked.cool_down_s, self._asked.longest_s)
        minutes = (self._asked.warm_up_s + lasts_s) / 60
        return f"{n} of {len(steps)} scenarios have time, in {minutes:.0f} minutes at least"

    def _fits(self, step: Step, warmed_s: float) -> bool:
        left_s = warmed_s + self._asked.longest_s - self._pace.now_s()
        return length_s(step, self._asked.cool_down_s) <= left_s

    def _attempt(self, step: Step) -> None:
        begun_s = self._pace.now_s()
        self._broken = (step, begun_s)
        broken = self._break(step)
        with self._interrupts.mending():
            self._mend(step)
            stopped_s = self._pace.now_s()
            self._attempts.append(_attempt(step, broken, begun_s, stopped_s))
            self._broken = None
        said = f"  {broken.outcome.replace('_', ' ')}"
        self._tell(f"{said}: {broken.reason}" if broken.reason else said)
        if broken.outcome is Outcome.SKIPPED:
            return
        self._recover()

    def _recover(self) -> None:
        """Its last word comes when its time to be told is over; without that it is no result."""
        kept = self._attempts[-1]
        self._attempts[-1] = replace(kept, outcome=Outcome.INTERRUPTED)
        self._rest(self._asked.cool_down_s)
        causes: Mapping[str, tuple[str, ...]] = {}
        if kept.outcome is Outcome.MANIFESTED and not kept.fault_free:
            causes = self._causes(kept.begun_s, kept.stopped_s + self._grace_s)
        self._attempts[-1] = replace(kept, ended_s=self._pace.now_s(), causes=causes)

    def _break(self, step: Step) -> _Broken:
        """Until its time is over."""
        done = self._perform(step, step.scenario.start)
        started_s = self._pace.now_s()
        if not done.is_well:
            return _Broken(_failure(done), started_s, reason=done.said)
        until_s = started_s + step.scenario.hold_s
        felt, felt_s = self._feel(step, until_s)
        if not felt.is_well and felt.status != 1:
            return _Broken(_failure(felt), started_s, reason=felt.said)
        self._rest(until_s - self._pace.now_s())
        if felt_s is None:
            return _Broken(Outcome.UNFELT, started_s, reason=felt.said)
        return _Broken(Outcome.MANIFESTED, started_s, felt_s)

    def _feel(self, step: Step, until_s: float) -> tuple[Done, float | None]:
        """Ask the check until it says yes; when that was."""
        while True:
            done = self._perform(step, step.scenario.check)
            if done.status != 1:
                return done, self._pace.now_s() if done.is_well else None
            left_s = until_s - self._pace.now_s()
            if left_s <= 0:
                return done, None
            self._rest(min(_CHECK_S, left_s))

    def _mend(self, step: Step) -> None:
        """Twice, if need be. What cannot be mended ends the run."""
        for _ in range(2):
            done = self._perform(step, step.scenario.stop)
            if done.is_well:
                return
        self._stuck = f"`stop` of {step.scenario.name} failed: {done.said or done.status}"
        self._tell(f"{self._stuck}; the run ends here, mend it by hand")

    def _abandon(self) -> None:
        """Mend what is broken, and tell of it as of no result."""
        if self._broken is None:
            return
        step, begun_s = self._broken
        self._tell(f"stopping: mending {step.scenario.name}")
        with self._interrupts.mending():
            self._mend(step)
            now_s = self._pace.now_s()
            broken = _Broken(Outcome.INTERRUPTED, now_s)
            self._attempts.append(_attempt(step, broken, begun_s, now_s))
            self._broken = None

    def _causes(self, low_s: float, high_s: float) -> Mapping[str, tuple[str, ...]]:
        """What would be blamed, by what was known when its time was over."""
        found = within(self._watch.found.values(), low_s, high_s)
        try:
            spans = self._watch.failing_spans(low_s, high_s)
        except Retryable:
            self._watch.unheard += 1
            spans = []
        return {EARLIEST: earliest(spans), LARGEST: largest(found)}

    def _perform(self, step: Step, command: str) -> Done:
        filled = words(command, step.intensity, self._asked.home)
        return perform(filled, self._watch.look)

    def _rest(self, seconds: float) -> None:
        """Look on meanwhile."""
        until_s = self._pace.now_s() + seconds
        while (left_s := until_s - self._pace.now_s()) > 0:
            self._watch.look()
            self._pace.sleep(min(_LOOK_S, left_s))
        self._watch.look()


def _failure(done: Done) -> Outcome:
    return Outcome.SKIPPED if done.status == LACKING else Outcome.FAILED


def _attempt(step: Step, broken: _Broken, begun_s: float, stopped_s: float) -> Attempt:
    """As it is known when it was mended."""
    scenario = step.scenario
    return Attempt(
        scenario=scenario.name,
        services=scenario.truth.services,
        kind=scenario.truth.kind,
        fault_free=scenario.fault_free,
        intensity=step.intensity,
        outcome=broken.outcome,
        begun_s=begun_s,
        started_s=broken.started_s,
        stopped_s=stopped_s,
        ended_s=stopped_s,
        manifested_s=broken.manifested_s,
        reason=broken.reason,
    )
