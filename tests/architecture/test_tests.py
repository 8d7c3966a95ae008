"""The tests themselves: enough of them, of real things, named as sentences."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tests.architecture.source import ROOT, modules

TEST_LINES_PER_SOURCE_LINE = 1.2
"""The budget is 1.2. This only goes up: whoever raises what is there raises this with it."""
MOCKS_PER_TEST = 0.1
PLACEHOLDERS = {"Mock", "MagicMock", "AsyncMock", "patch", "monkeypatch.setattr", "mocker"}


@cache
def texts() -> dict[Path, str]:
    return {path: path.read_text("utf-8") for path in sorted((ROOT / "tests").rglob("*.py"))}


@cache
def nodes() -> dict[Path, list[ast.AST]]:
    return {path: list(ast.walk(ast.parse(text))) for path, text in texts().items()}


def all_tests() -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [
        node
        for path, found in nodes().items()
        if path.name.startswith("test_")
        for node in found
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    ]


def test_the_share_of_test_lines_does_not_fall() -> None:
    n_source = sum(module.text.count("\n") for module in modules())
    n_tests = sum(text.count("\n") for text in texts().values())

    assert n_tests >= TEST_LINES_PER_SOURCE_LINE * n_source


def test_tests_use_the_real_thing() -> None:
    called = [
        ast.unparse(node.func)
        for found in nodes().values()
        for node in found
        if isinstance(node, ast.Call)
    ]
    n_mocks = sum(c in PLACEHOLDERS or c.split(".")[-1] in PLACEHOLDERS for c in called)

    assert n_mocks <= MOCKS_PER_TEST * len(all_tests())


def test_test_names_are_sentences() -> None:
    short = [test.name for test in all_tests() if test.name.count("_") < 2]

    assert short == []


def test_no_test_sleeps() -> None:
    """Time is FakeClock's; only whole apps and real servers are waited for."""
    real = {"integration", "scenario", "soak", "e2e"}
    sleeps = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, found in nodes().items()
        if not real & set(path.parts)
        for node in found
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep"}
        and ast.unparse(node.args[0]) != "0"
    ]

    assert sleeps == []
