"""Matchers as amtool writes them, and which alerts they take."""

from __future__ import annotations

import pytest

from tests import make
from watchkeeper.api.alert_matching import checked, parse_matcher, silencers, taken, takes_nothing
from watchkeeper.errors import BadInput
from watchkeeper.model.series import DEFAULT_TENANT, Matcher, MatchOp
from watchkeeper.model.silence import AlertSilence

SHOP = {"alertname": "Slow", "service": "shop", "zone": "eu"}
PAY = {"alertname": "Down", "service": "pay"}
BARE = {"alertname": "Down"}
ALL = (SHOP, PAY, BARE)


def silence(identity: str, *matchers: Matcher) -> AlertSilence:
    return AlertSilence(
        id=identity,
        tenant=DEFAULT_TENANT,
        matchers=matchers,
        from_ns=make.START_NS,
        to_ns=make.START_NS + 60 * make.NS_PER_S,
        author="ann",
        comment="",
        principal="ann",
        time_ns=make.START_NS,
    )


@pytest.mark.parametrize(
    ("text", "name", "op", "value"),
    [
        ("a=b", "a", MatchOp.EQUAL, "b"),
        ('a="b"', "a", MatchOp.EQUAL, "b"),
        ("a!=b", "a", MatchOp.NOT_EQUAL, "b"),
        ("a=~b.*", "a", MatchOp.REGEX, "b.*"),
        ('a!~"b|c"', "a", MatchOp.NOT_REGEX, "b|c"),
        ("a=", "a", MatchOp.EQUAL, ""),
        ('a=""', "a", MatchOp.EQUAL, ""),
        ("a!=", "a", MatchOp.NOT_EQUAL, ""),
        (' a = "b c" ', "a", MatchOp.EQUAL, "b c"),
        ("a= b c ", "a", MatchOp.EQUAL, "b c"),
        ('a=" b "', "a", MatchOp.EQUAL, " b "),
        ("_a:b9=c", "_a:b9", MatchOp.EQUAL, "c"),
        ("a=b=c", "a", MatchOp.EQUAL, "b=c"),
        ("a==b", "a", MatchOp.EQUAL, "=b"),
        ('a="b=~c"', "a", MatchOp.EQUAL, "b=~c"),
        (r'a="say \"hi\""', "a", MatchOp.EQUAL, 'say "hi"'),
        (r'a="two\nlines"', "a", MatchOp.EQUAL, "two\nlines"),
        (r'a="back\\slash"', "a", MatchOp.EQUAL, "back\\slash"),
        (r"a=~\d+", "a", MatchOp.REGEX, r"\d+"),
        (r"a=C:\dir\here", "a", MatchOp.EQUAL, r"C:\dir\here"),
        ("a=b\\", "a", MatchOp.EQUAL, "b\\"),
        ("a=größe", "a", MatchOp.EQUAL, "größe"),
    ],
)
def test_a_matcher_is_read_as_alertmanager_reads_it(
    text: str, name: str, op: MatchOp, value: str
) -> None:
    assert parse_matcher(text) == Matcher(name, op, value)


@pytest.mark.parametrize("text", ["", "a", "=b", "9a=b", "a-b=c", "a b=c", "a~b", '"a"=b', "ä=b"])
def test_what_is_no_matcher_is_refused_and_shown(text: str) -> None:
    with pytest.raises(BadInput, match="bad matcher format") as refusal:
        parse_matcher(text)

    assert refusal.value.status == 400
    assert str(refusal.value).endswith(text)


@pytest.mark.parametrize(
    "text", ['a="', 'a="b', 'a=b"', 'a="b"c"', 'a=b"c', r'a="b\"', 'a=""b', 'a="b""']
)
def test_a_quote_that_stands_alone_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="unescaped double quote"):
        parse_matcher(text)


@pytest.mark.parametrize("value", ["(", "[a", "*", "a{2,1}", "(?P<x"])
@pytest.mark.parametrize("op", [MatchOp.REGEX, MatchOp.NOT_REGEX])
def test_a_regular_expression_that_is_none_is_refused(op: MatchOp, value: str) -> None:
    with pytest.raises(BadInput):
        checked(Matcher("a", op, value))


@pytest.mark.parametrize("value", ["(", "[a", "*"])
def test_what_is_to_be_equal_need_not_be_a_regular_expression(value: str) -> None:
    matcher = Matcher("a", MatchOp.EQUAL, value)

    assert checked(matcher) is matcher


@pytest.mark.parametrize(
    ("text", "takes"),
    [
        ("a=", True),
        ("a=b", False),
        ("a!=", False),
        ("a!=b", True),
        ("a=~.*", True),
        ("a=~.+", False),
        ("a=~b|", True),
        ("a!~.*", False),
        ("a!~.+", True),
        ("a!~b", True),
    ],
)
def test_a_matcher_takes_a_label_that_is_not_there_as_one_that_is_empty(
    text: str, takes: bool
) -> None:
    matcher = parse_matcher(text)

    assert takes_nothing(matcher) is takes
    assert taken([matcher], [{}]).tolist() == [takes]


@pytest.mark.parametrize(
    ("texts", "fits"),
    [
        ([], [True, True, True]),
        (["service=shop"], [True, False, False]),
        (["service!=shop"], [False, True, True]),
        (["service=~.+"], [True, True, False]),
        (["service=~shop|pay"], [True, True, False]),
        (["service=~ho"], [False, False, False]),
        (["service!~p.*"], [True, False, True]),
        (["zone="], [False, True, True]),
        (["alertname=Down", "service=pay"], [False, True, False]),
        (["alertname=Down", "zone=eu"], [False, False, False]),
        (["service=SHOP"], [False, False, False]),
        (["service=~(?i)SHOP"], [True, False, False]),
    ],
)
def test_alerts_are_taken_that_all_matchers_take(texts: list[str], fits: list[bool]) -> None:
    matchers = [parse_matcher(text) for text in texts]

    assert taken(matchers, ALL).tolist() == fits


def test_of_no_alerts_none_are_taken() -> None:
    assert taken([parse_matcher("a=b")], []).tolist() == []
    assert silencers([silence("s", parse_matcher("a=b"))], []) == []


def test_each_alert_has_the_silences_over_it_by_their_ids() -> None:
    down = silence("b", parse_matcher("alertname=Down"))
    pay = silence("a", parse_matcher("service=pay"))
    nobody = silence("c", parse_matcher("service=bank"))

    assert silencers([down, pay, nobody], ALL) == [[], ["a", "b"], ["b"]]


def test_a_silence_holds_from_its_beginning_to_before_its_end() -> None:
    one = silence("s", parse_matcher("a=b"))

    assert one.state(one.from_ns - 1) == "pending"
    assert one.state(one.from_ns) == "active"
    assert one.state(one.to_ns - 1) == "active"
    assert one.state(one.to_ns) == "expired"
