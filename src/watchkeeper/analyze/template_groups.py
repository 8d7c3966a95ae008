"""The templates of one service: which fingerprints belong together, and how that came about.

    fingerprint -> form -> wider text -> ... -> the template that has it now

A fingerprint is of one pattern and its form never changes. Each text on the way is a template, and
its id that of its text; when one is succeeded by a wider one it goes on to mean the fingerprints
that it had. Templates are only ever joined, never parted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from watchkeeper.analyze import template_merge
from watchkeeper.analyze.template_form import form
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.template import OTHER, Template, pattern, template_id

_COLUMNS: Final = 8
"""That are kept as variable, for each pattern that may be."""
_NEVER: Final = 2**63 - 1


class TemplatesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How patterns of log lines are joined to templates."""

    every_s: Annotated[
        float, Meta(gt=0, description="How often new patterns of a service are compared.")
    ] = 60.0
    patterns_per_service: Annotated[
        int,
        Meta(ge=1, description="Patterns kept of a service; lines of further ones are `<other>`."),
    ] = 2000
    patterns_per_partition: Annotated[
        int,
        Meta(
            ge=1,
            description="Patterns kept of all services of one of the 64 partitions; some 600 bytes "
            "each.",
        ),
    ] = 4000
    forget_s: Annotated[
        float, Meta(gt=0, description="A pattern that no line had for so long makes room.")
    ] = 14 * 86400.0


class _Known(msgspec.Struct, array_like=True):
    """Of a fingerprint."""

    form: int
    n_lines: int
    first_ns: int
    last_ns: int
    met_ns: int
    """The newest tick when a line of it came, however old that line was; 0 before the first."""


class _State(msgspec.Struct, array_like=True):
    """All that is known of a service, as it is kept."""

    known: dict[int, _Known]
    text: dict[int, str]
    successor: dict[int, int]
    variable: list[int]
    other: list[int]
    now_ns: int
    due_ns: int
    is_new: bool


_decoder = msgspec.msgpack.Decoder(_State)


class Groups:
    """State of one service. Takes what it is told in the order of the log; decides by ticks."""

    def __init__(self, config: TemplatesConfig) -> None:
        self._config = config
        self._known: dict[int, _Known] = {}
        self._text: dict[int, str] = {}
        self._successor: dict[int, int] = {}
        self._variable: set[int] = set()
        self._other = [0, _NEVER, -_NEVER]
        """Lines that were too many, and the first and last time of such a line."""
        self._now_ns = 0
        self._due_ns = 0
        self._is_new = False

    def __len__(self) -> int:
        return len(self._known)

    def knows(self, fingerprint: int) -> bool:
        return fingerprint in self._known

    def meet(self, fingerprint: int, line: str) -> bool:
        """A fingerprint that is not known, with a line that has it; whether there was room."""
        if len(self._known) >= self._config.patterns_per_service:
            return False
        text = form(pattern(line))
        made = self._template(text)
        self._known[fingerprint] = _Known(made, 0, _NEVER, -_NEVER, 0)
        self._succeed(made, self._template(template_merge.settled(text, self._variable)))
        self._is_new = True
        return True

    def count(self, fingerprint: int, n_lines: int, first_ns: int, last_ns: int) -> bool:
        """Lines of a fingerprint; whether it is known. If not, they are counted as OTHER."""
        known = self._known.get(fingerprint)
        if known is None:
            n, first, last = self._other
            self._other = [n + n_lines, min(first, first_ns), max(last, last_ns)]
            return False
        known.n_lines += n_lines
        known.first_ns = min(known.first_ns, first_ns)
        known.last_ns = max(known.last_ns, last_ns)
        known.met_ns = self._now_ns
        return True

    def tick(self, now_ns: int) -> bool:
        """Forget and compare, if it is time for that; whether it was."""
        self._now_ns = now_ns
        if now_ns < self._due_ns:
            return False
        self._due_ns = now_ns + round(self._config.every_s * NS_PER_S)
        self._forget(now_ns - round(self._config.forget_s * NS_PER_S))
        if self._is_new:
            self.merge()
        return True

    def merge(self) -> None:
        """Join what belongs together."""
        self._is_new = False
        current = {self._text[self._last(known.form)] for known in self._known.values()}
        became, self._variable = template_merge.merge(current, self._variable)
        for text, wider in became.items():
            self._succeed(template_id(text), self._template(wider))
        if len(self._variable) > _COLUMNS * self._config.patterns_per_service:
            self._variable = set()  # what was joined stays so, and shows what can be found again

    def template_of(self, fingerprint: int) -> int:
        """The template that has it now; OTHER where it is not known."""
        known = self._known.get(fingerprint)
        return OTHER if known is None else self._last(known.form)

    def current(self, template: int) -> int | None:
        """The template that has the lines of this one now; None where it was forgotten."""
        return self._last(template) if template in self._text else None

    def text(self, template: int) -> str | None:
        """Of a template that is not forgotten."""
        return self._text.get(template)

    def fingerprints(self, template: int) -> set[int]:
        """What a template means, be it succeeded or not."""
        if template not in self._text:
            return set()
        return {
            fingerprint
            for fingerprint, known in self._known.items()
            if template in self._way(known.form)
        }

    def templates(self, service: str) -> Iterator[Template]:
        """Those that nothing succeeded, in the order of their first patterns; OTHER at the end."""
        groups: dict[int, list[_Known]] = {}
        former: dict[int, dict[int, None]] = {}
        for known in self._known.values():
            *way, last = self._way(known.form)
            groups.setdefault(last, []).append(known)
            former.setdefault(last, {}).update(dict.fromkeys(way))
        for last, group in groups.items():
            yield Template(
                service=service,
                id=last,
                text=self._text[last],
                n_lines=sum(one.n_lines for one in group),
                n_patterns=len(group),
                first_ns=min(one.first_ns for one in group),
                last_ns=max(one.last_ns for one in group),
                succeeds=tuple(former[last]),
            )
        n, first, last = self._other
        if n:
            yield Template(service, OTHER, "<other>", n, 0, first, last)

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(
            _State(
                self._known,
                self._text,
                self._successor,
                sorted(self._variable),
                self._other,
                self._now_ns,
                self._due_ns,
                self._is_new,
            )
        )

    def load(self, state: bytes) -> None:
        kept = _decoder.decode(state)
        self._known, self._text, self._successor = kept.known, kept.text, kept.successor
        self._variable, self._other = set(kept.variable), kept.other
        self._now_ns, self._due_ns, self._is_new = kept.now_ns, kept.due_ns, kept.is_new

    def _template(self, text: str) -> int:
        made = template_id(text)
        self._text.setdefault(made, text)
        return made

    def _succeed(self, template: int, wider: int) -> None:
        """Wherever its way led to, it leads on to `wider`. More is masked with each step of a way,
        so none comes round."""
        last = self._last(template)
        if last != self._last(wider):
            self._successor[last] = wider

    def _last(self, template: int) -> int:
        while (wider := self._successor.get(template)) is not None:
            template = wider
        return template

    def _way(self, template: int) -> list[int]:
        way = [template]
        while (wider := self._successor.get(way[-1])) is not None:
            way.append(wider)
        return way

    def _forget(self, before_ns: int) -> None:
        """What no line had any more, and templates that nothing leads to."""
        for known in self._known.values():
            known.met_ns = known.met_ns or self._now_ns
        old = [one for one, known in self._known.items() if known.met_ns < before_ns]
        if not old:
            return
        for fingerprint in old:
            del self._known[fingerprint]
        used = {one for known in self._known.values() for one in self._way(known.form)}
        self._text = {one: text for one, text in self._text.items() if one in used}
        self._successor = {one: to for one, to in self._successor.items() if one in used}
        if not self._known:
            self._variable = set()
