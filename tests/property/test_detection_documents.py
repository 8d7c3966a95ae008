"""Documents of settings: what is written of one is read as the same, and differences are all."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.analyze.detection_config import DetectionConfig
from watchkeeper.config.sent import read, written
from watchkeeper.know.settings_stage import differences
from watchkeeper.model.metric_class import MetricClass

words = st.text(
    st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters="$"),
    min_size=1,
    max_size=8,
)
sensitivity = st.sampled_from(["low", "normal", "high"])
judging = st.fixed_dictionaries(
    {},
    optional={
        "sensitivity": sensitivity,
        "direction": st.sampled_from(["up", "down", "both"]),
        "least_ratio": st.floats(0, 1e6, allow_nan=False),
        "least_change": st.floats(0, 1e6, allow_nan=False),
        "detectors": st.lists(st.sampled_from(["fk", "rex"]), unique=True),
    },
)
rules = st.builds(
    lambda match, said, more: {"match": match, **said, **more},
    st.dictionaries(words, words, min_size=1, max_size=3),
    judging,
    st.fixed_dictionaries({}, optional={"class": st.sampled_from(list(MetricClass)),
                                        "muted": st.booleans()}),
)  # fmt: skip
windows = st.one_of(
    st.fixed_dictionaries({
        "weekly": st.sampled_from(["sat, sun 02:00-04:00", "mon-fri 22:00-06:00"]),
        "time_zone": st.sampled_from(["UTC", "Europe/Berlin"]),
    }),
    st.fixed_dictionaries({
        "from": st.just("2026-03-01T22:00:00Z"),
        "to": st.just("2026-03-02T02:00:00Z"),
        "match": st.dictionaries(words, words, max_size=2),
        "reason": words,
    }),
)  # fmt: skip
documents = st.fixed_dictionaries(
    {"detectors": st.just([{"use": "basic"}, {"use": "fk", "rearm_s": 60}, {"use": "rex"}])},
    optional={
        "sensitivity": sensitivity,
        "classes": st.dictionaries(st.sampled_from(list(MetricClass)), judging, max_size=3),
        "rules": st.lists(rules, max_size=3),
        "maintenance": st.lists(windows, max_size=3),
    },
)


def sent(document: Any) -> DetectionConfig:
    found = read("detection", json.dumps(document).encode(), "application/json")
    assert isinstance(found, DetectionConfig)
    return found


@settings(max_examples=20)
@given(documents)
def test_what_is_written_of_a_document_is_read_as_the_same(document: Any) -> None:
    first = sent(document)

    again = sent(json.loads(written(first)))

    assert again == first
    assert written(again) == written(first)


@settings(max_examples=20)
@given(documents)
def test_what_was_checked_is_what_detection_decodes(document: Any) -> None:
    first = sent(document)

    assert msgspec.json.decode(written(first), type=DetectionConfig) == first


@settings(max_examples=15)
@given(documents)
def test_yaml_says_the_same_as_json(document: Any) -> None:
    text = yaml.safe_dump(json.loads(json.dumps(document)), allow_unicode=True)

    assert read("detection", text.encode(), "application/yaml") == sent(document)


@settings(max_examples=20)
@given(documents, documents)
def test_two_documents_differ_where_something_is_told_to_differ(one: Any, other: Any) -> None:
    before, after = written(sent(one)), written(sent(other))

    found = differences(before, after)

    assert (found == []) == (before == after)
    assert len({entry.path for entry in found}) == len(found)
    assert all(entry.before != entry.after for entry in found)
