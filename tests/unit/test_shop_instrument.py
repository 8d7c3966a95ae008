"""By what the shop's services are observed."""

from __future__ import annotations

import pytest

pytest.importorskip("flask")
pytest.importorskip("waitress")
pytest.importorskip("supervisor")

from shop import instrument, serve
from shop.instrument import Nothing
from shop.plan import Plan
from shop.releases import FIRST
from shop.stores import Missing


@pytest.mark.parametrize(("watchkeeper", "name"), [("", "payment"), ("http://127.0.0.1:1", "bank")])
def test_who_is_not_looked_at_is_not_instrumented(watchkeeper: str, name: str) -> None:
    plan = Plan(ports={"payment": 1, "bank": 2}, watchkeeper=watchkeeper)

    assert isinstance(serve.instrument(plan, name, FIRST), Nothing)


def test_what_an_instrumentation_needs_is_told_with_its_remedy() -> None:
    needed = ("json", "no_such_package", "no_such_package.flask")

    with pytest.raises(Missing, match=r"needs no_such_package, no_such_package\.flask; install"):
        instrument.check("otel", needed)


def test_our_own_middleware_needs_nothing_else() -> None:
    instrument.check("sdk", ("no_such_package",))
