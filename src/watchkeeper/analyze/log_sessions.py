"""Sessions of log lines: what belongs to one trace, or to one value of a key.

A session is judged when it has ended, by how often each template is in it. What normal ones have is
learned as ranges: of each template the least and the greatest count. A session is strange where a
count lies outside of its range, or where it has a template that none had.

Blind to: order, times, what lines say; and to whatever is as often there as it was before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

SETTLED: Final = 24
"""In so many different hours a strange count has to be seen to become normal."""
_PENDING: Final = 1000
_TEMPLATES: Final = 4000
"""Of a rule: what is beyond is not known, and not strange either."""


@dataclass(frozen=True, slots=True)
class Strange:
    """What is strange of a session: a template, how often it is there, and how often it was."""

    template: int
    count: int
    least: int
    most: int


class SessionRule(msgspec.Struct, array_like=True):
    """Ranges of counts by template. A state machine; nothing in it but what is kept."""

    n: int = 0
    most: dict[int, int] = {}
    always: dict[int, int] = {}
    """Least count of those that every session has."""
    pending: dict[int, tuple[int, int, int, int]] = {}
    """By template: hours in which a count was strange, the last of them, least and greatest."""

    def judge(self, counts: Mapping[int, int]) -> list[Strange]:
        """What is strange of a session that is not learned yet; nothing before any is."""
        if not self.n:
            return []
        is_full = len(self.most) >= _TEMPLATES
        found = []
        for template, count in counts.items():
            most = self.most.get(template, 0)
            if count > most and not (is_full and not most):
                found.append(Strange(template, count, self.always.get(template, 0), most))
        for template, least in self.always.items():
            count = counts.get(template, 0)
            if count < least:
                found.append(Strange(template, count, least, self.most[template]))
        return found

    def learn(self, counts: Mapping[int, int]) -> None:
        """Make room for a session in all ranges."""
        if not self.n:
            self.most, self.always = dict(counts), dict(counts)
        for template, count in counts.items():
            if template in self.most or len(self.most) < _TEMPLATES:
                self.most[template] = max(count, self.most.get(template, 0))
        for template in [one for one in self.always if counts.get(one, 0) < self.always[one]]:
            self._lower(template, counts.get(template, 0))
        self.n += 1

    def meet(self, strange: Sequence[Strange], hour: int) -> None:
        """A strange session: what it had becomes normal when it comes in many different hours, so
        that a program which has changed is not strange for ever."""
        for one in strange:
            n, last, least, most = self.pending.get(one.template, (0, -1, one.count, one.count))
            if hour != last:
                n += 1
            least, most = min(least, one.count), max(most, one.count)
            if n < SETTLED:
                if one.template in self.pending or len(self.pending) < _PENDING:
                    self.pending[one.template] = (n, hour, least, most)
                continue
            self.pending.pop(one.template, None)
            if len(self.most) < _TEMPLATES or one.template in self.most:
                self.most[one.template] = max(most, self.most.get(one.template, 0))
            if least < self.always.get(one.template, 0):
                self._lower(one.template, least)

    def rename(self, became: Mapping[int, int]) -> None:
        """Templates were joined: a joined one may have as many lines as all of them together."""
        if not became.keys() & (self.most.keys() | self.pending.keys()):
            return
        most: dict[int, int] = {}
        for template, count in self.most.items():
            now = became.get(template, template)
            most[now] = most.get(now, 0) + count
        always: dict[int, int] = {}
        for template, count in self.always.items():
            now = became.get(template, template)
            always[now] = always.get(now, 0) + count
        self.most, self.always = most, always
        self.pending = {one: seen for one, seen in self.pending.items() if one not in became}

    def _lower(self, template: int, least: int) -> None:
        if least:
            self.always[template] = least
        else:
            del self.always[template]
