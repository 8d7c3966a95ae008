"""Which route a request took: as its framework says, else its path without what counts objects.

Paths are without number, routes are few; operations are named by the latter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

_WORD: Final = re.compile(r"[^/]+")
_HEXADECIMAL: Final = re.compile(r"[0-9a-fA-F-]{8,}")
_VERSION: Final = re.compile(r"v\d{1,2}")
_LONGEST: Final = 200
_UNKNOWN: Final = object()


def of_wsgi(environ: Mapping[str, Any], status: int) -> str:
    """To be asked when the answer begins: Flask leaves the rule that matched with its request, and
    takes that away in the end. A request that matched no rule has no route."""
    try:
        rule = environ["werkzeug.request"].url_rule
        root = environ.get("SCRIPT_NAME")
    except (KeyError, AttributeError):
        rule = root = _UNKNOWN
    if rule is None:
        return ""
    if rule is not _UNKNOWN:
        route: str = rule.rule
        return root + route if root else route
    if status == 404:
        return ""
    return collapsed(f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}")


def of_asgi(scope: Mapping[str, Any], status: int) -> str:
    """Starlette and FastAPI leave the route that matched in the scope, or the parts of the path."""
    path, root = str(scope.get("path", "")), str(scope.get("root_path", ""))
    template = getattr(scope.get("route"), "path", None)
    if isinstance(template, str) and not root:
        return template
    if scope.get("endpoint") is not None:
        return collapsed(_named(path, scope.get("path_params") or {}))
    if status == 404:
        return ""
    return collapsed(path)


@lru_cache(maxsize=1024)
def collapsed(path: str) -> str:
    """`/users/4711/cart` is `/users/{id}/cart`; the same rule by which operations are named."""
    return _WORD.sub(lambda word: "{id}" if _is_id(word[0]) else word[0], path[:_LONGEST]) or "/"


def _is_id(word: str) -> bool:
    if word[0] in "{<" or _VERSION.fullmatch(word):
        return False
    digits = sum(one.isdigit() for one in word)
    return digits >= 2 or digits == len(word) or bool(digits and _HEXADECIMAL.fullmatch(word))


def _named(path: str, parameters: Mapping[str, Any]) -> str:
    for name, value in parameters.items():
        path = path.replace(f"/{value}", f"/{{{name}}}", 1) if str(value) else path
    return path
