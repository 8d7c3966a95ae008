"""A Flask application under observation: the same object, its routes, its errors."""

from __future__ import annotations

from typing import Any

import pytest

from tests.middleware import observed, said
from watchkeeper.sdk.middleware import current, observe

flask = pytest.importorskip("flask")
EnvironBuilder = pytest.importorskip("werkzeug.test").EnvironBuilder


def shop() -> Any:
    app = flask.Flask("shop")

    @app.get("/inventory/<int:item>")
    def inventory(item: int) -> dict[str, Any]:
        work = current()
        return {"item": item, "trace": work.trace_id if work else None}

    @app.get("/payment")
    def payment() -> None:
        raise ValueError("card refused")

    return app


def test_it_stays_the_application_that_it_was() -> None:
    app = shop()

    with observed() as seen:
        assert observe(app, seen.recorder) is app


def test_a_rule_names_the_operation_and_the_handler_sees_its_trace() -> None:
    with observed() as seen:
        response = (
            observe(shop(), seen.recorder).test_client().get("/inventory/4711", buffered=True)
        )

        one = seen.span()

    assert one.name == "GET /inventory/<int:item>"
    assert response.json == {"item": 4711, "trace": one.trace_id.hex()}
    assert response.headers["x-trace-id"] == one.trace_id.hex()


def test_an_error_that_flask_answers_by_itself_is_told_with_its_stack() -> None:
    with observed() as seen:
        response = observe(shop(), seen.recorder).test_client().get("/payment", buffered=True)

        one = seen.span()

    assert response.status_code == 500
    assert one.name == "GET /payment"
    assert one.status.message == "ValueError: card refused"
    assert (
        'raise ValueError("card refused")' in said(one.events[0].attributes)["exception.stacktrace"]
    )


def test_an_error_that_is_raised_on_is_told_once() -> None:
    app = shop()
    app.testing = True

    with observed() as seen:
        with pytest.raises(ValueError, match="card refused"):
            observe(app, seen.recorder).test_client().get("/payment", buffered=True)

        one = seen.span()

    assert len(one.events) == 1
    assert one.name == "GET /payment"


@pytest.mark.parametrize("path", ["/nothing", "/inventory/tea"])
def test_what_no_rule_matches_has_no_route(path: str) -> None:
    with observed() as seen:
        observe(shop(), seen.recorder).test_client().get(path, buffered=True)

        assert seen.span().name == "GET"


def test_a_place_below_another_application_is_a_part_of_the_route() -> None:
    with observed() as seen:
        client = observe(shop(), seen.recorder).test_client()
        client.get("/inventory/1", environ_overrides={"SCRIPT_NAME": "/shop"}, buffered=True)

        assert seen.span().name == "GET /shop/inventory/<int:item>"


def test_an_application_at_the_root_needs_no_word_of_where_it_is() -> None:
    environ = EnvironBuilder(path="/inventory/1").get_environ()
    del environ["SCRIPT_NAME"]

    with observed() as seen:
        body = observe(shop(), seen.recorder)(environ, lambda *_: None)
        b"".join(body)

        assert seen.span().name == "GET /inventory/<int:item>"
