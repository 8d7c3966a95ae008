"""The tests themselves: enough of them, of real things, named as sentences."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.architecture.source import ROOT, modules

TEST_LINES_PER_SOURCE_LINE = 1.2
MOCKS_PER_TEST = 0.1
PLACEHOLDERS = {"Mock", "MagicMock", "AsyncMock", "patch", "monkeypatch.setattr", "mocker"}


def files() -> list[Path]:
    return sorted((ROOT / "tests").rglob("*.py"))


def all_tests() -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [
        node
        for path in files()
        if path.name.startswith("test_")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    ]


def test_there_are_more_lines_of_tests_than_of_source() -> None:
    n_source = sum(module.text.count("\n") for module in modules())
    n_tests = sum(path.read_text(encoding="utf-8").count("\n") for path in files())

    assert n_tests >= TEST_LINES_PER_SOURCE_LINE * n_source


def test_tests_use_the_real_thing() -> None:
    n_mocks = 0
    for path in files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                n_mocks += called in PLACEHOLDERS or called.split(".")[-1] in PLACEHOLDERS

    assert n_mocks <= MOCKS_PER_TEST * len(all_tests())


def test_test_names_are_sentences() -> None:
    short = [test.name for test in all_tests() if test.name.count("_") < 2]

    assert short == []


def test_no_test_sleeps() -> None:
    """Time is FakeClock's; only whole apps and real servers are waited for."""
    real = {"integration", "scenario", "soak", "e2e"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in files()
        if not real & set(path.parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep"}
        and ast.unparse(node.args[0]) != "0"
    ]

    assert found == []
