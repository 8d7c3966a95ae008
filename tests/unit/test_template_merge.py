"""Which places are values: thresholds, what masks them, and what never is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.analyze.template_form import WILD, tokens
from watchkeeper.analyze.template_merge import MANY, RICH, SEVERAL, merge, settled

NAMES = ("ann", "bob", "cyd", "dan", "eve", "fay", "gus", "hal")
FEW = settings(max_examples=15, deadline=None)
FORMS = st.lists(
    st.builds(
        "{} {} {}".format,
        st.sampled_from(NAMES[:4]),
        st.sampled_from(["met", "saw", WILD]),
        st.sampled_from(NAMES[:5]),
    ),
    max_size=25,
)


def lines(rest: str, n: int) -> list[str]:
    return [rest.format(name) for name in NAMES[:n]]


def became(texts: Sequence[str]) -> set[str]:
    wider, _ = merge(texts, set())
    return {wider.get(text, text) for text in texts}


@pytest.mark.parametrize(
    ("rest", "needed"),
    [
        pytest.param("user {}", MANY, id="one word beside it"),
        pytest.param("user {} came", MANY, id="two words"),
        pytest.param("the user {} came", MANY, id="three words"),
        pytest.param("the user {} came home", SEVERAL, id="rich words"),
        pytest.param("the old user {} came home", SEVERAL, id="more than rich"),
        pytest.param("the - user {} : came", MANY, id="marks are no words"),
        pytest.param("{} is gone", MANY, id="at the beginning"),
        pytest.param("wer war {}", MANY, id="at the end"),
    ],
)
def test_enough_words_in_one_place_are_a_value(rest: str, needed: int) -> None:
    assert became(lines(rest, needed - 1)) == set(lines(rest, needed - 1))
    assert became(lines(rest, needed)) == {rest.format(WILD)}


def test_rich_is_as_many_words_as_it_says() -> None:
    rich = " ".join(["word"] * RICH) + " {}"

    assert became(lines(rich, SEVERAL)) == {rich.format(WILD)}
    assert len(became(lines(rich.removeprefix("word "), SEVERAL))) == SEVERAL


@pytest.mark.parametrize(
    ("texts", "want"),
    [
        pytest.param(
            ["user <*> left", "user ann left"], {"user <*> left"}, id="a value is known there"
        ),
        pytest.param(
            ["user <*>", "user ann"], {"user <*>", "user ann"}, id="one word beside is too few"
        ),
        pytest.param(
            ["user <*> left", "host ann left"],
            {"user <*> left", "host ann left"},
            id="another rest",
        ),
        pytest.param(
            ["user ann left", "user ann left now"],
            {"user ann left", "user ann left now"},
            id="another length",
        ),
        pytest.param(["<*> <*>", "ann bob"], {"<*> <*>", "ann bob"}, id="two places"),
        pytest.param([], set(), id="no text"),
        pytest.param([""], {""}, id="an empty text"),
        pytest.param(["12 : 7", "13 : 7"], {"12 : 7", "13 : 7"}, id="no words"),
    ],
)
def test_what_becomes_of_few_texts(texts: list[str], want: set[str]) -> None:
    assert became(texts) == want


def test_a_text_is_never_masked_to_its_last_word() -> None:
    assert became([f"{name} {WILD}" for name in NAMES]) == {f"{name} {WILD}" for name in NAMES}


def test_what_is_joined_may_make_other_places_values() -> None:
    texts = [
        f"{name} sent {what} to the office" for name in NAMES[:SEVERAL] for what in NAMES[:SEVERAL]
    ]

    assert became(texts) == {"<*> sent <*> to the office"}


def test_texts_that_stay_do_not_appear() -> None:
    wider, columns = merge([*lines("user {}", MANY), "disk is full"], set())

    assert set(wider) == set(lines("user {}", MANY))
    assert len(columns) == 1


def test_what_is_known_from_before_masks_a_single_text() -> None:
    _, columns = merge(lines("user {}", MANY), set())

    wider, again = merge(["user zoe"], columns)

    assert wider == {"user zoe": "user <*>"}
    assert again == columns


def test_what_was_variable_is_not_changed_in_place() -> None:
    columns = {1, 2}

    _, now = merge(lines("user {}", MANY), columns)

    assert columns == {1, 2}
    assert now > columns


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("user zoe", "user <*>"),
        ("user <*>", "user <*>"),
        ("User zoe", "User zoe"),
        ("user zoe left", "user zoe left"),
        ("user 7", "user 7"),
        ("", ""),
    ],
)
def test_a_text_settles_where_its_place_is_a_value(text: str, want: str) -> None:
    _, columns = merge(lines("user {}", MANY), set())

    assert settled(text, columns) == want
    assert settled(text, set()) == text


@FEW
@given(FORMS)
def test_what_is_settled_stays(texts: list[str]) -> None:
    wider, columns = merge(texts, set())

    for text in texts:
        last = settled(text, columns)
        assert last == wider.get(text, text)
        assert settled(last, columns) == last


@FEW
@given(FORMS)
def test_only_words_become_values_and_none_a_word(texts: list[str]) -> None:
    wider, _ = merge(texts, set())

    for text, last in wider.items():
        pairs = list(zip(tokens(text), tokens(last), strict=True))
        assert all(now in (was, WILD) for was, now in pairs)
        assert any(now != was for was, now in pairs)
        assert any(now not in (" ", WILD) for _, now in pairs)


@FEW
@given(FORMS, FORMS)
def test_more_texts_make_more_places_values(some: list[str], more: list[str]) -> None:
    _, few = merge(some, set())
    _, many = merge(more, few)

    assert few <= many


@FEW
@given(FORMS)
def test_texts_in_any_order_come_to_the_same(texts: list[str]) -> None:
    assert merge(texts, set()) == merge(texts[::-1], set())
