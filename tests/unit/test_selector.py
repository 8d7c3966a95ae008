"""Selectors as text."""

from __future__ import annotations

import pytest

from watchkeeper.errors import BadInput
from watchkeeper.lake.selector import parse_selector
from watchkeeper.model.series import Matcher, MatchOp


def test_a_name_and_every_kind_of_condition_is_read() -> None:
    assert parse_selector('up{a="1", b!="2", c=~"x|y", d!~"z.*"}') == (
        Matcher("__name__", MatchOp.EQUAL, "up"),
        Matcher("a", MatchOp.EQUAL, "1"),
        Matcher("b", MatchOp.NOT_EQUAL, "2"),
        Matcher("c", MatchOp.REGEX, "x|y"),
        Matcher("d", MatchOp.NOT_REGEX, "z.*"),
    )


def test_a_selector_without_a_name_is_one() -> None:
    assert parse_selector('{service="shop"}') == (Matcher("service", MatchOp.EQUAL, "shop"),)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("rate(a[5m])", "over_time"),
        ("a{", "no selector"),
        ('a{b="1" or c="2"}', "regular expression"),
        ("a offset 5m", "start and end"),
        ("", "no selector"),
    ],
)
def test_what_is_no_selector_is_refused_with_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(BadInput, match=remedy):
        parse_selector(text)
