"""What people ask about pages: who would have paged too often, and how objectives stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from watchkeeper.analyze.tiers import Tiers
from watchkeeper.analyze.watchers.objectives import RULES, Account, Rule, Slo
from watchkeeper.analyze.watchers.services import Subject
from watchkeeper.analyze.watchers.symptoms import Symptoms
from watchkeeper.clock import NS_PER_S
from watchkeeper.model.series import TenantId

_MINUTE_NS = 60 * NS_PER_S


class NoisyService(NamedTuple):
    """A service that had pages held back this week, or as many as a day allows."""

    subject: Subject
    n_paged: int
    n_held: int
    last_ns: int


class BurnRate(NamedTuple):
    """How many times too fast a budget is spent, over both windows of a rule."""

    rule: Rule
    long: float
    short: float
    since_ns: int
    """Since when both are too much; 0 where they are not."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An objective of a service, as it stands."""

    subject: Subject
    slo: Slo
    requests: float
    bad: float
    left: float
    """Of thirty days' budget; below 0 when it is overdrawn."""
    counted_from_ns: int
    counted_to_ns: int
    rates: tuple[BurnRate, ...]


@dataclass(frozen=True, slots=True)
class Objectives:
    """All that a tenant's services promise."""

    standing: Sequence[Standing]
    waiting: Sequence[Slo]
    """Those of services of which no request was counted yet."""


def noisy(tiers: Tiers, tenant: TenantId) -> list[NoisyService]:
    """The worst first. As the other: on the thread that judges, since accounts move."""
    return [
        NoisyService(said.subject, said.n_paged, said.n_held, said.last_ns)
        for one in _watchers(tiers)
        for said in one.noisy()
        if isinstance(said.subject, Subject) and said.subject.tenant == tenant
    ]


def objectives(tiers: Tiers, tenant: TenantId) -> Objectives:
    """Those with the least left first."""
    standing: list[Standing] = []
    waiting: list[Slo] = []
    for one in _watchers(tiers):
        own = [
            _standing(subject, slo, account)
            for subject, slo, account in one.promises.left()
            if subject.tenant == tenant and account.newest
        ]
        counted = {(known.slo.service, known.slo.name) for known in own}
        waiting += [slo for slo in one.promises.slos if (slo.service, slo.name) not in counted]
        standing += own
    standing.sort(key=lambda known: (known.left, known.subject, known.slo.name))
    return Objectives(standing, waiting)


def _standing(subject: Subject, slo: Slo, account: Account) -> Standing:
    requests, bad = account.spent()
    return Standing(
        subject,
        slo,
        requests,
        bad,
        account.left(slo.allowed),
        account.oldest_hour * 60 * _MINUTE_NS,
        (account.newest + 1) * _MINUTE_NS,
        tuple(
            BurnRate(
                rule,
                account.bad_share(rule.long_minutes) / slo.allowed,
                account.bad_share(rule.short_minutes) / slo.allowed,
                since * _MINUTE_NS,
            )
            for rule, since in zip(RULES, account.burning, strict=True)
        ),
    )


def _watchers(tiers: Tiers) -> list[Symptoms]:
    return [one for one in tiers.watchers if isinstance(one, Symptoms)]
