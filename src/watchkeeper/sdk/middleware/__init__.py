"""One line around a WSGI or ASGI application tells Watchkeeper what it does: `observe`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, TypeVar

from watchkeeper.sdk.middleware.asgi import Asgi
from watchkeeper.sdk.middleware.exchange import Exchange, Hook, Hooks
from watchkeeper.sdk.middleware.outgoing import Part, Undo, answered, calling, span, trace_calls
from watchkeeper.sdk.middleware.recorder import Outlet, Recorder
from watchkeeper.sdk.middleware.settings import Settings
from watchkeeper.sdk.middleware.work import Work, current, inject
from watchkeeper.sdk.middleware.wsgi import Wsgi

__all__ = [
    "Asgi",
    "Exchange",
    "Hook",
    "Hooks",
    "Outlet",
    "Part",
    "Recorder",
    "Settings",
    "Undo",
    "Work",
    "Wsgi",
    "answered",
    "calling",
    "current",
    "inject",
    "observe",
    "span",
    "trace_calls",
]

App = TypeVar("App")


def observe(
    app: App,
    speaker: str | Settings | Recorder,
    *,
    before: Sequence[Hook] = (),
    after: Sequence[Hook] = (),
) -> App:
    """The application, observed: `app = observe(app, "checkout")`.

    Of Flask's it is the same object, observed within; of any other callable it is a wrapper with
    the same protocol. The speaker is a service's name, its settings, or a recorder that several
    applications of one process share.
    """
    if isinstance(speaker, Recorder):
        recorder = speaker
    else:
        recorder = Recorder(Settings(speaker) if isinstance(speaker, str) else speaker)
    hooks = Hooks(before, after)
    inner: Any = app
    if callable(getattr(app, "wsgi_app", None)):
        inner.wsgi_app = Wsgi(inner.wsgi_app, recorder, hooks)
        return app
    wrapped: Any = Asgi(inner, recorder, hooks) if _is_asgi(inner) else Wsgi(inner, recorder, hooks)
    observed: App = wrapped
    return observed


def _is_asgi(app: Any) -> bool:
    called = app if inspect.isroutine(app) else type(app).__call__
    return inspect.iscoroutinefunction(called)
