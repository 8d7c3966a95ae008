"""Whom a series speaks of, for any labels and any rules: the laws that the catalog relies on."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.ingest.enrich import FIELDS, Enrich, EnrichConfig
from watchkeeper.ingest.normalize import (
    ENVIRONMENT_LABELS,
    NODE_LABELS,
    OWNER_LABELS,
    SERVICE_LABELS,
    first_value,
    spellings,
)
from watchkeeper.model.series import Entity

KNOWN = (*SERVICE_LABELS[:3], *ENVIRONMENT_LABELS[:2], *NODE_LABELS[:2], *OWNER_LABELS[:2])
NAMES = st.sampled_from([*KNOWN, "service.name", "host.name", "pod", "zone", "version", "le"])
VALUES = st.sampled_from(["", "shop", "cart", "eu-1", "eu-2", "7"])
LABELS = st.dictionaries(NAMES, VALUES, max_size=6)
PATTERNS = st.sampled_from(["shop", "", "/eu-.*/", "/.*/", "/[a-z]+/", "/cart|shop/"])
RULES = st.lists(
    st.fixed_dictionaries({
        "match": st.dictionaries(
            st.sampled_from([*FIELDS, "zone", "pod"]), PATTERNS, min_size=1, max_size=2
        ),
        "set": st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=2),
    }),
    max_size=4,
)  # fmt: skip


def enrich(*rules: dict[str, Any], **settings: Any) -> Enrich:
    return Enrich(msgspec.convert({"rules": rules, **settings}, EnrichConfig))


@given(labels=LABELS, rules=RULES, noise=st.dictionaries(st.sampled_from("abc"), VALUES))
def test_labels_that_are_not_relevant_change_nothing(
    labels: dict[str, str], rules: list[dict[str, Any]], noise: dict[str, str]
) -> None:
    """The catalog decides an entity once for all series that are equal in the relevant labels."""
    known = enrich(*rules)
    relevant = {name: labels[name] for name in known.relevant_labels if name in labels}

    assert known({**labels, **noise}) == known(labels) == known(relevant)


@given(labels=LABELS, rules=RULES)
def test_an_empty_label_is_an_absent_one(
    labels: dict[str, str], rules: list[dict[str, Any]]
) -> None:
    known = enrich(*rules)

    assert known({k: v for k, v in labels.items() if v}) == known(labels)


@given(labels=LABELS, rules=RULES)
def test_the_order_of_labels_does_not_matter(
    labels: dict[str, str], rules: list[dict[str, Any]]
) -> None:
    known = enrich(*rules)

    assert known(dict(reversed(labels.items()))) == known(labels)


@given(labels=LABELS, first=RULES, second=RULES)
def test_rules_one_after_the_other_are_rules_upon_what_the_earlier_ones_said(
    labels: dict[str, str], first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    """With nothing left to labels, the later rules can see only what the earlier ones made."""
    names = {f"{field}_labels": [f"as_{field}"] for field in FIELDS}
    then = enrich(*second, **names)
    between = enrich(*first)(labels)
    seen = {**labels, **{f"as_{name}": value for name, value in asdict(between).items()}}

    assert enrich(*first, *second)(labels) == then(seen)


@given(labels=LABELS, rules=RULES)
def test_a_rule_that_fits_leaves_what_it_does_not_speak_of(
    labels: dict[str, str], rules: list[dict[str, Any]]
) -> None:
    before = enrich(*rules)(labels)

    after = enrich(*rules, {"match": {"pod": "/.*/"}, "set": {"owner": "me"}})(labels)

    assert after == replace(before, owner="me")


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("service", SERVICE_LABELS),
        ("environment", ENVIRONMENT_LABELS),
        ("node", NODE_LABELS),
        ("owner", OWNER_LABELS),
    ],
)
def test_the_most_telling_label_wins_over_all_that_come_after_it(
    field: str, names: tuple[str, ...]
) -> None:
    for at, name in enumerate(names):
        labels = dict.fromkeys(names[at:], "later") | {name: "first"}

        assert getattr(Enrich()(labels), field) == "first"


@pytest.mark.parametrize("name", ["service_name", "k8s_deployment_name", "k8s_cluster_name"])
def test_dots_and_underscores_name_the_same_label(name: str) -> None:
    dotted = name.replace("_", ".")

    assert Enrich()({dotted: "x"}) == Enrich()({name: "x"}) != Entity()


@given(names=st.lists(NAMES, max_size=6))
def test_spellings_keep_the_order_and_say_nothing_twice(names: list[str]) -> None:
    found = spellings(names)

    assert len(set(found)) == len(found)
    assert [name for name in found if name in names] == list(
        dict.fromkeys(
            name
            for given_name in names
            for name in (given_name, given_name.replace("_", "."))
            if name in names
        )
    )
    assert set(found) == {way for name in names for way in (name, name.replace("_", "."))}


@given(labels=LABELS, names=st.lists(NAMES, max_size=6))
def test_the_first_value_is_that_of_the_first_name_that_has_one(
    labels: dict[str, str], names: list[str]
) -> None:
    having = [labels[name] for name in names if labels.get(name)]

    assert first_value(labels, names) == (having[0] if having else "")
