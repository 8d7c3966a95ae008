"""Templates: joined as defined, in any order, by the same words everywhere, and never parted."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.templating import LINES, SHOP, S, batch, learned, shown, templates
from watchkeeper.analyze.template_form import form, tokens
from watchkeeper.analyze.template_merge import MANY, RICH, SEVERAL, merge, settled
from watchkeeper.model.series import DEFAULT_TENANT
from watchkeeper.model.template import pattern

WILD = "<*>"
MANY_LINES = st.lists(LINES, min_size=1, max_size=60)
WORDS = ["ann", "bob", "cyd", "dan", "eve", "fay", "gus", WILD]
FORMS = st.builds(
    "{}: {}{}{}".format,
    st.sampled_from(WORDS),
    st.sampled_from(WORDS),
    st.sampled_from(["", "", " is in"]),
    st.sampled_from(["", "", " now", " soon again"]),
)
MANY_FORMS = st.sets(FORMS, min_size=1, max_size=60)
"""So alike that many places are, or just are not, variable."""


def is_word(token: str) -> bool:
    return token != WILD and re.search(r"[^\W\d_]", token) is not None


def reference(texts: set[str]) -> dict[str, str]:
    """The definition in template_merge, column by column."""
    became = {text: tuple(tokens(text)) for text in texts}
    variable: set[tuple[int, tuple[str, ...]]] = set()
    while True:
        columns = defaultdict(set)
        for text in set(became.values()):
            for at, token in enumerate(text):
                if is_word(token) or token == WILD:
                    columns[at, text[:at] + text[at + 1 :]].add(token)
        for (at, rest), found in columns.items():
            n_words = sum(map(is_word, rest))
            is_shown = WILD in found and len(found) > 1 and n_words >= 2
            if is_shown or (n_words and len(found) >= (SEVERAL if n_words >= RICH else MANY)):
                variable.add((at, rest))
        moved = {text: masked(now, variable) for text, now in became.items()}
        if moved == became:
            return {text: "".join(now) for text, now in became.items() if "".join(now) != text}
        became = moved


def masked(text: tuple[str, ...], variable: set[tuple[int, tuple[str, ...]]]) -> tuple[str, ...]:
    wider = tuple(
        WILD if (at, text[:at] + text[at + 1 :]) in variable else token
        for at, token in enumerate(text)
    )
    return wider if any(map(is_word, wider)) else text


@given(MANY_FORMS)
def test_texts_are_joined_as_defined(forms: set[str]) -> None:
    found, _ = merge(forms, set())

    assert found == reference(forms)


@given(MANY_FORMS)
def test_what_joined_others_would_join_a_text_that_comes_later(forms: set[str]) -> None:
    found, variable = merge(forms, set())

    assert {text: settled(text, variable) for text in found} == found


@given(MANY_LINES, st.randoms())
def test_the_order_of_lines_does_not_matter(lines: list[str], chance: object) -> None:
    mixed = list(lines)
    chance.shuffle(mixed)  # type: ignore[attr-defined]  # hypothesis' own kind of Random

    assert shown(learned(mixed)) == shown(learned(lines))


@given(MANY_LINES, st.integers(1, 7), st.integers(1, 99))
def test_how_lines_are_batched_does_not_matter(lines: list[str], size: int, most: int) -> None:
    whole, parts = templates(patterns_per_service=most), templates(patterns_per_service=most)

    whole.take(batch(lines))
    for at in range(0, len(lines), size):
        parts.take(batch(lines[at : at + size], time_ns=S + at))
    for made in (whole, parts):
        made.tick(9 * S)

    assert parts.dump(3) == whole.dump(3)


@given(MANY_LINES, MANY_LINES)
def test_a_restart_changes_nothing_of_what_follows(before: list[str], after: list[str]) -> None:
    made, restarted = learned(before), templates()
    restarted.load(3, made.dump(3))

    for one in (made, restarted):
        one.take(batch(after))
        one.tick(500 * S)

    assert restarted.dump(3) == made.dump(3)


@settings(max_examples=25)
@given(st.lists(MANY_LINES, min_size=2, max_size=4))
def test_lines_that_were_together_stay_together(runs: list[list[str]]) -> None:
    made = [learned(*runs[:n]) for n in range(1, len(runs) + 1)]

    for earlier, later in pairwise(made):
        for template in earlier.templates(DEFAULT_TENANT):
            fingerprints = earlier.fingerprints(DEFAULT_TENANT, template.id)
            now = {later.template_of(DEFAULT_TENANT, SHOP, one) for one in fingerprints}
            assert len(now) == 1
            assert fingerprints <= later.fingerprints(DEFAULT_TENANT, now.pop())


@settings(max_examples=25)
@given(st.lists(MANY_LINES, min_size=2, max_size=4))
def test_an_id_goes_on_to_find_what_it_found(runs: list[list[str]]) -> None:
    earlier, later = learned(*runs[:-1]), learned(*runs)

    for template in earlier.templates(DEFAULT_TENANT):
        found = earlier.fingerprints(DEFAULT_TENANT, template.id)
        assert found <= later.fingerprints(DEFAULT_TENANT, template.id)


@given(MANY_LINES)
def test_every_line_is_in_one_template_that_says_what_lines_it_has(lines: list[str]) -> None:
    made = learned(lines)

    found = made.templates(DEFAULT_TENANT)

    meant = [made.fingerprints(DEFAULT_TENANT, one.id) for one in found]
    assert [one.n_patterns for one in found] == [len(one) for one in meant]
    assert set().union(*meant) == set(batch(lines).template.tolist())
    assert sum(one.n_lines for one in found) == len(lines)


@given(MANY_LINES, st.integers(1, 10))
def test_no_more_patterns_are_kept_than_allowed_and_no_line_is_lost(
    lines: list[str], most: int
) -> None:
    made = learned(lines, patterns_per_service=most)

    found = made.templates(DEFAULT_TENANT)

    assert sum(one.n_patterns for one in found) <= most
    assert sum(one.n_lines for one in found) == len(lines)


@given(st.text(max_size=80))
def test_the_form_of_a_form_is_itself(line: str) -> None:
    once = form(pattern(line))

    assert form(once) == once
    assert "".join(tokens(once)) == once
