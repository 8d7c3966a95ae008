"""A selector's text, as in PromQL: `name{label="value", other!~"re.*"}`."""

from __future__ import annotations

import promql_parser

from watchkeeper.errors import BadInput
from watchkeeper.model.series import METRIC_NAME, Matcher, MatchOp

_OPS = {  # by their text, because the parser's own values cannot be keys
    str(promql_parser.MatchOp.Equal): MatchOp.EQUAL,
    str(promql_parser.MatchOp.NotEqual): MatchOp.NOT_EQUAL,
    str(promql_parser.MatchOp.Re): MatchOp.REGEX,
    str(promql_parser.MatchOp.NotRe): MatchOp.NOT_REGEX,
}


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """The conditions of a selector; BadInput names what is wrong with the text."""
    try:
        parsed = promql_parser.parse(text)
    except ValueError as error:
        raise BadInput(f"query: '{text}' is no selector: {error}") from error
    if not isinstance(parsed, promql_parser.VectorSelector):
        raise BadInput(
            f"query: '{text}' is an expression; here a selector is taken, such as "
            'http_requests_total{service="shop"}, with step, over_time, across and by beside it'
        )
    if parsed.offset is not None or parsed.at is not None:
        raise BadInput(f"query: '{text}' shifts time; use start and end instead")
    if parsed.matchers.or_matchers:
        raise BadInput(f"query: '{text}' uses `or` between labels; use a regular expression")
    matchers = [
        Matcher(matcher.name, _OPS[str(matcher.op)], matcher.value)
        for matcher in parsed.matchers.matchers
    ]
    if parsed.name:
        matchers.insert(0, Matcher(METRIC_NAME, MatchOp.EQUAL, parsed.name))
    return tuple(matchers)
