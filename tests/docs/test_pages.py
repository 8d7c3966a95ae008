"""The prose: decisions are whole, examples are what the product takes, one word per idea."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bench import __main__ as speed
from docs import generate
from quality import __main__ as scores
from tests.architecture.source import ROOT
from watchkeeper.config.loading import load

DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))])
DECISIONS = sorted((DOCS / "adr").glob("[0-9]*.md"))
PARTS = ["Context", "Decision", "Rejected", "Consequences", "Held by"]


def fenced(page: Path, language: str) -> list[str]:
    pattern = rf"^```{language}\b[^\n]*\n(.*?)^```"
    return re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def shown_commands() -> Iterator[tuple[str, list[str]]]:
    """Every `watchkeeper ...` line of the prose, as words."""
    for page in PAGES:
        for block in fenced(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("watchkeeper "):
                    yield page.name, shlex.split(line, comments=True)[1:]


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_is_whole_and_short(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS
    assert len(text.split()) <= 700, "one page"


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_is_held_by_tests_that_exist(page: Path) -> None:
    held_by = page.read_text(encoding="utf-8").split("## Held by")[1]
    paths = re.findall(r"`(tests/[\w/.]+)`", held_by)

    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_test_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"`(tests/[\w/.]+)::(\w+)`", page.read_text(encoding="utf-8"))

    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).exists() or f"def {name}(" not in (ROOT / path).read_text("utf-8")
    ]
    assert missing == []


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    index = (DOCS / "adr" / "index.md").read_text(encoding="utf-8")

    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    assert [page.name for page in DECISIONS if page.name not in index] == []


def test_every_command_that_the_prose_shows_is_one() -> None:
    refused = []
    for page, words in shown_commands():
        try:
            generate.cli.build_parser().parse_args(words)
        except (SystemExit, argparse.ArgumentError):
            refused.append(f"{page}: watchkeeper {shlex.join(words)}")

    assert refused == []


def test_every_watchkeeper_yaml_that_the_prose_shows_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for page in PAGES:
        for block in fenced(page, "yaml"):
            if block.startswith("# watchkeeper.yaml"):
                file = tmp_path / "watchkeeper.yaml"
                file.write_text(block, encoding="utf-8")
                assert load(file, environment={"HOME": "/"}).file == file, page


def test_every_make_target_that_the_prose_shows_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    shown = {
        target
        for page in PAGES
        for target in re.findall(r"(?:^|`)make ([a-z]+)", page.read_text("utf-8"), re.MULTILINE)
    }

    assert shown <= targets
    assert {"demo", "test"} <= shown


def test_every_page_is_in_the_navigation() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")]

    assert [page for page in pages if page not in nav] == []
    assert yaml.safe_load(nav)["theme"]["font"] is False, "the site is built and read offline"


def test_every_record_is_a_word_of_the_glossary() -> None:
    """One word per idea: what the code calls things is what people read."""
    glossary = (DOCS / "glossary.md").read_text(encoding="utf-8").lower()
    words = [
        "Anomaly",
        "Series",
        "Entity",
        "Kind",
        "Matcher",
        "Tick",
        "Evidence",
        "Slot",
        "Role",
        "Case",
        "Cause",
    ]

    assert [word for word in words if f"**{word.lower()}**" not in glossary] == []


@pytest.mark.parametrize(
    ("tool", "suite"),
    [("bench", name) for name in speed.SUITES] + [("quality", name) for name in scores.SUITES],
)
def test_every_figure_is_explained_with_its_command_and_target(tool: str, suite: str) -> None:
    names = {
        "bench": ["performance.md"],
        "quality": ["detection.md", "causes.md", "correlation.md"],
    }[tool]
    page = "".join((DOCS / "explain" / name).read_text(encoding="utf-8") for name in names)
    targets = importlib.import_module(f"{tool}.{suite}").TARGETS

    assert f"`make {tool} SUITE={suite}" in page
    assert [name for name in targets if f"| `{name}` |" not in page] == []


def test_the_changelog_fragments_have_a_kind() -> None:
    kinds = {"added", "changed", "fixed", "removed", "security"}
    names = [path.name for path in (ROOT / "changelog.d").glob("*.md") if path.name != "README.md"]

    assert [name for name in names if name.split(".")[1] not in kinds] == []
