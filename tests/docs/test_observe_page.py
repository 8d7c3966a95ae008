"""What the page about observed applications shows is run as it stands."""

from __future__ import annotations

from typing import Any

import pytest

from tests.docs.test_pages import DOCS, fenced
from watchkeeper.sdk.middleware import Exchange, Recorder

BLOCKS = fenced(DOCS / "how-to" / "observe-an-application.md", "python")


def recorders(shown: dict[str, Any]) -> list[Recorder]:
    app = shown.get("app")
    found = getattr(getattr(app, "wsgi_app", app), "recorder", None)
    return [] if found is None else [found]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example_runs(number: int) -> None:
    block = BLOCKS[number]
    if "flask" in block:
        pytest.importorskip("flask")
    shown: dict[str, Any] = {"__name__": "shown"}

    exec(compile(block, f"example {number}", "exec"), shown)

    made = recorders(shown)
    for recorder in made:
        recorder.close()
    assert bool(made) == ("observe(" in block)


def test_the_hooks_that_are_shown_do_what_is_said_of_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("flask")
    (block,) = (one for one in BLOCKS if "keep_the_plan" in one)
    shown: dict[str, Any] = {"__name__": "shown"}
    exec(compile(block, "hooks", "exec"), shown)
    exchange = Exchange()
    exchange.begin(lambda _: None, None, 2)
    exchange.source, exchange.route, exchange.status = {"HTTP_X_PLAN": "gold"}, "/cart", 200

    shown["keep_the_plan"](exchange)
    exchange.duration_ns = 2_000_000_000
    shown["tell_slow_ones"](exchange)

    recorders(shown)[0].close()
    assert exchange.attributes == {"customer.plan": "gold"}
    assert exchange.trace_id in capsys.readouterr().out
