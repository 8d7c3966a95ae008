"""Drivers stay in their adapters, errors are caught by who can answer them."""

from __future__ import annotations

import ast
import tomllib
from fnmatch import fnmatch

from tests.architecture.source import ROOT, modules

HOMES: dict[str, tuple[str, ...]] = {
    "duckdb": ("lake/*",),
    "pyarrow": ("lake/*",),
    "sqlite3": ("store/sqlite/*",),
    "psycopg": ("store/postgres/*",),
    "redis": ("bus/redis*.py",),
    "fastapi": ("api/*",),
    "starlette": ("api/*",),
    "pydantic": ("api/*",),
    "uvicorn": ("app.py", "api/*", "cli/*"),
    "httpx": ("cli/*", "lake/remote.py", "sdk/*"),
    "rich": ("cli/*",),
    "argparse": ("cli/*",),
    "yaml": ("config/*", "evaluate/scenarios.py"),
    "numba": ("compiled/*", "*_kernel.py"),
    "llvmlite": ("compiled/*",),
    "cramjam": ("compiled/*", "ingest/receivers/*", "lake/*", "bus/redis*.py", "sdk/*"),
    "google": ("ingest/receivers/*", "api/doors.py", "api/grpc.py"),
    "grpc": ("api/grpc.py",),
    "opentelemetry": ("ingest/receivers/*", "api/doors.py"),
    "promql_parser": ("lake/selector.py", "lake/promql/parse.py", "api/*"),
}
"""Driver -> the modules that may import it. Everybody else speaks to a port."""


def test_a_driver_is_imported_by_its_adapter_alone() -> None:
    strays = [
        f"{module.name} imports {name}"
        for module in modules()
        for name in module.imports()
        if (homes := HOMES.get(name.split(".")[0]))
        and not any(fnmatch(module.name, home) for home in homes)
    ]

    assert strays == []


def test_every_dependency_is_used_and_has_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text[text.index("dependencies = [") : text.index("]\n", text.index("dependencies = ["))]
    unreasoned = [line for line in block.splitlines()[1:] if line.strip() and "#" not in line]
    project = tomllib.loads(text)["project"]
    packages = {line.split(">")[0].split("[")[0] for line in project["dependencies"]}
    imported = {name.split(".")[0] for module in modules() for name in module.imports()}
    import_names = {
        "grpcio": "grpc",
        "opentelemetry-proto": "opentelemetry",
        "promql-parser": "promql_parser",
        "protobuf": "google",
        "pyyaml": "yaml",
    }

    assert unreasoned == []
    assert {p for p in packages if import_names.get(p, p) not in imported} == set()


def test_a_type_is_known_to_msgspec_before_there_are_threads() -> None:
    """Two that meet a type for the first time at once end the process. So decoders of what we
    define are made with their modules; the command line has one thread."""
    plain = {"bool", "bytes", "dict", "int", "list", "msgspec", "str", "tuple"}
    late = [
        f"{module.name}:{node.lineno}: {ast.unparse(keyword.value)}"
        for module in modules()
        if not module.name.startswith("cli/")
        for node in module.nodes
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("decode")
        for keyword in node.keywords
        if keyword.arg == "type"
        for name in ast.walk(keyword.value)
        if isinstance(name, ast.Name) and name.id not in {*plain, "type", "nothing"}
    ]

    assert late == []


def test_one_broad_catch_exists_and_everyone_goes_through_it() -> None:
    """A handler that puts things back and raises on has caught nothing."""
    broad = [
        module.name
        for module in modules()
        for node in module.nodes
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or {"Exception", "BaseException"}
            & {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)}
        )
        and not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
    ]

    assert broad == ["patience.py"]


def test_no_name_is_a_shrug() -> None:
    shrugs = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "data", "info"}

    assert [m.name for m in modules() if shrugs & {*m.path.parts[-2:-1], m.path.stem}] == []
