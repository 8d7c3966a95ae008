"""The tests themselves: enough of them, of real things, named as sentences."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

from tests.architecture.source import ROOT, modules

TEST_LINES_PER_SOURCE_LINE = 1.2
"""The budget is 1.2. This only goes up: whoever raises what is there raises this with it."""
MOCKS_PER_TEST = 0.1
PLACEHOLDERS = {"Mock", "MagicMock", "AsyncMock", "patch", "setattr", "mocker"}


@cache
def texts() -> dict[Path, str]:
    return {path: path.read_text("utf-8") for path in sorted((ROOT / "tests").rglob("*.py"))}


def all_tests() -> list[str]:
    """Their names."""
    return [
        name
        for path, text in texts().items()
        if path.name.startswith("test_")
        for name in re.findall(r"^ *(?:async )?def (test_\w*)", text, flags=re.MULTILINE)
    ]


def calls(names: Collection[str]) -> Iterator[tuple[Path, ast.Call, str]]:
    """Where one of `names` is called, bare or as the last of a dotted name; and that name whole.
    Only files in which one stands with a bracket behind it are parsed."""
    mentioned = re.compile(rf"\b(?:{'|'.join(names)})\s*\(")
    for path, text in texts().items():
        if mentioned.search(text):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call):
                    called = ast.unparse(node.func)
                    if called.split(".")[-1] in names:
                        yield path, node, called


def test_the_share_of_test_lines_does_not_fall() -> None:
    n_source = sum(module.text.count("\n") for module in modules())
    n_tests = sum(text.count("\n") for text in texts().values())

    assert n_tests >= TEST_LINES_PER_SOURCE_LINE * n_source


def test_tests_use_the_real_thing() -> None:
    mocks = [called for _, _, called in calls(PLACEHOLDERS) if called != "setattr"]

    assert len(mocks) <= MOCKS_PER_TEST * len(all_tests())


def test_test_names_are_sentences() -> None:
    assert [name for name in all_tests() if name.count("_") < 2] == []


def test_no_test_sleeps() -> None:
    """Time is FakeClock's; only whole apps and real servers are waited for."""
    real = {"integration", "scenario", "soak", "e2e"}
    sleeps = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path, call, called in calls({"sleep"})
        if not real & set(path.parts)
        and called in {"time.sleep", "asyncio.sleep"}
        and ast.unparse(call.args[0]) != "0"
    ]

    assert sleeps == []
