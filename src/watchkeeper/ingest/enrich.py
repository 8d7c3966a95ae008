"""Whom a series speaks of: service, environment, node and owner, from its labels and by rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from watchkeeper.errors import ConfigError
from watchkeeper.ingest.normalize import (
    ENVIRONMENT_LABELS,
    NODE_LABELS,
    OWNER_LABELS,
    SERVICE_LABELS,
    first_value,
    spellings,
)
from watchkeeper.model.series import Entity

FIELDS: Final = ("service", "environment", "node", "owner")

Names = Annotated[tuple[str, ...], Meta(max_length=100)]


class EntityFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rule says of a series; what it leaves out stays as it was."""

    service: Annotated[str | None, Meta(description="The service it belongs to.")] = None
    environment: Annotated[str | None, Meta(description="Production, staging, ...")] = None
    node: Annotated[str | None, Meta(description="The machine it runs on.")] = None
    owner: Annotated[str | None, Meta(description="The team that is asked first.")] = None


class EnrichRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Says something of the series that it fits."""

    match: Annotated[
        dict[str, str],
        Meta(
            min_length=1,
            description="Label -> value, or a regular expression between slashes that the whole "
            "value must fit. All must fit. `service`, `environment`, `node` and `owner` stand for "
            "what is known so far.",
        ),
    ]
    set: Annotated[EntityFields, Meta(description="What is said of series that fit.")]


class EnrichConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Labels that tell whom a series speaks of, first one that is there; then rules, in order."""

    service_labels: Annotated[Names, Meta(description="Labels that name the service.")] = (
        SERVICE_LABELS
    )
    environment_labels: Annotated[Names, Meta(description="Labels that name the environment.")] = (
        ENVIRONMENT_LABELS
    )
    node_labels: Annotated[Names, Meta(description="Labels that name the machine.")] = NODE_LABELS
    owner_labels: Annotated[Names, Meta(description="Labels that name the team.")] = OWNER_LABELS
    rules: Annotated[
        tuple[EnrichRule, ...],
        Meta(description="Applied in order; a later one overrides an earlier one."),
    ] = ()


@dataclass(frozen=True, slots=True)
class _Rule:
    fits: tuple[tuple[str, Callable[[str], object]], ...]
    said: dict[str, str]


class Enrich:
    """The rules, compiled once. Pure: equal labels give equal entities."""

    def __init__(self, config: EnrichConfig | None = None) -> None:
        config = config or EnrichConfig()
        self._names = {
            "service": spellings(config.service_labels),
            "environment": spellings(config.environment_labels),
            "node": spellings(config.node_labels),
            "owner": spellings(config.owner_labels),
        }
        self._rules = _compiled(config.rules)
        asked = [name for rule in self._rules for name, _ in rule.fits if name not in FIELDS]
        self._relevant = tuple(
            dict.fromkeys([name for names in self._names.values() for name in names] + asked)
        )

    @property
    def relevant_labels(self) -> tuple[str, ...]:
        """The labels that are looked at; series that are equal in these have one entity."""
        return self._relevant

    def __call__(self, labels: Mapping[str, str]) -> Entity:
        entity = Entity(**{field: first_value(labels, self._names[field]) for field in FIELDS})
        for rule in self._rules:
            if all(
                fits(getattr(entity, name) if name in FIELDS else labels.get(name, ""))
                for name, fits in rule.fits
            ):
                entity = replace(entity, **rule.said)
        return entity


def _compiled(rules: tuple[EnrichRule, ...]) -> tuple[_Rule, ...]:
    compiled, faults = [], []
    for number, rule in enumerate(rules):
        fits = []
        for name, value in rule.match.items():
            try:
                fits.append((name, _fit(value)))
            except re.error as error:
                faults.append(
                    f"enrich.rules[{number}].match.{name}: {value} is no regular "
                    f"expression: {error}"
                )
        said = {field: value for field in FIELDS if (value := getattr(rule.set, field)) is not None}
        compiled.append(_Rule(tuple(fits), said))
    if faults:
        raise ConfigError(faults)
    return tuple(compiled)


def _fit(value: str) -> Callable[[str], object]:
    if len(value) >= 2 and value.startswith("/") and value.endswith("/"):
        return re.compile(value[1:-1]).fullmatch
    return value.__eq__
