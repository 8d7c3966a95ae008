"""In a layer, only stages and outward families wait, touch the outside world, or know the time."""

from __future__ import annotations

import ast
from pathlib import PurePath

from tests.architecture.source import Module, modules

LAYERS = {"ingest", "stream", "analyze", "act", "know", "evaluate"}
OUTWARD = {"pollers", "actions", "notifiers", "narrators"}
OUTSIDE = {
    "asyncio", "concurrent", "ftplib", "glob", "http", "httpx", "io", "multiprocessing", "os",
    "pathlib", "random", "secrets", "select", "shutil", "signal", "smtplib", "socket", "ssl",
    "subprocess", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
"""Modules that reach the outside world, the clock, chance, or other threads."""
ALLOWED = {
    # Seeds the alias cache anew in every process, so that nobody can compute collisions; it is
    # never stored, and no answer depends on it.
    "secrets": ("ingest/receivers/",),
}
WAITS = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)


def is_pure_by_law(module: Module) -> bool:
    parts = PurePath(module.name).parts
    is_stage = parts[-1] == "stage.py" or parts[-1].endswith("_stage.py")
    return parts[0] in LAYERS and not is_stage and not OUTWARD & set(parts)


STEPS = [module for module in modules() if is_pure_by_law(module)]


def deeds(module: Module) -> list[str]:
    """Where `module` waits, reaches out or reads a clock."""
    found = []
    for node in module.nodes:
        if isinstance(node, WAITS):
            found.append(f"line {node.lineno}: {type(node).__name__}")
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"open", "input", "print"}:
            found.append(f"line {node.lineno}: {ast.unparse(node.func)}()")
    for name in module.imports():
        top = name.split(".")[0]
        if top in OUTSIDE and not module.name.startswith(ALLOWED.get(top, "-")):
            found.append(f"imports {name}")
        if name.startswith("watchkeeper.clock") and name != "watchkeeper.clock.NS_PER_S":
            found.append(f"imports {name}; take `now_ns` as a value")
    return found


def test_a_step_neither_waits_nor_reaches_out_nor_reads_a_clock() -> None:
    found = [f"{module.name}: {deed}" for module in STEPS for deed in deeds(module)]

    assert found == [], "these are steps: decide there, do it in a stage"


def test_there_are_steps() -> None:
    assert STEPS
