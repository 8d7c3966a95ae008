"""How large a thing may grow before it is two things."""

from __future__ import annotations

import ast
import statistics
import tomllib

from tests.architecture.source import ROOT, Function, Module, decorators, modules, n_lines

FILE_LINES, FILE_LINES_P90 = 400, 300
FUNCTION_LINES, FUNCTION_LINES_P90 = 60, 35
PARAMETERS = 6
NESTING = 3

COMPILED = {"kernel", "intrinsic"}
"""A kernel is one loop over columns; taking it apart costs time where it is spent."""
EXEMPT = {}
"""`module:function` -> why it may be long."""

BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.Match)
"""What a reader has to hold in mind; a `with` is a scope, not a branch."""


def judged(module: Module) -> list[Function]:
    return [f for f in module.functions() if not COMPILED & decorators(f)]


def n_parameters(function: Function) -> int:
    """A route's parameters are its query string, described one by one."""
    if any(name.startswith("router.") for name in decorators(function)):
        return 0
    a = function.args
    names = [arg.arg for arg in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    return len([name for name in names if name not in {"self", "cls"}])


def nesting(node: ast.AST, depth: int = 0) -> int:
    """Blocks inside blocks. `elif` is no deeper than its `if`; what an inner function does is its
    own."""
    deepest = depth
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, Function | ast.ClassDef | ast.Lambda):
                continue
            is_elif = isinstance(node, ast.If) and name == "orelse" and isinstance(child, ast.If)
            if isinstance(child, ast.AST):
                inner = depth + (isinstance(child, BLOCKS) and not is_elif)
                deepest = max(deepest, nesting(child, inner))
    return deepest


def beyond(module: Module, function: Function) -> list[str]:
    """Which limits `function` exceeds."""
    where = f"{module.name}:{function.name}"
    found = []
    if n_lines(function) > FUNCTION_LINES and where not in EXEMPT:
        found.append(f"{where}: {n_lines(function)} lines")
    if n_parameters(function) > PARAMETERS:
        found.append(f"{where}: {n_parameters(function)} parameters")
    if nesting(function) > NESTING:
        found.append(f"{where}: blocks {nesting(function)} deep")
    return found


def strangers(module: Module) -> list[str]:
    """What is in a file of kernels and is none."""
    plain = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr)
    found = []
    for node in module.tree.body:
        if isinstance(node, Function):
            if not COMPILED & decorators(node):
                found.append(f"{module.name}: {node.name} is no kernel; it belongs in a step")
        elif not isinstance(node, plain):
            found.append(f"{module.name}:{node.lineno}: {type(node).__name__}")
    return found


def test_a_file_holds_one_concept() -> None:
    n_lines_by_name = {module.name: module.text.count("\n") for module in modules()}

    assert {name: n for name, n in n_lines_by_name.items() if n > FILE_LINES} == {}


def test_functions_are_short_and_flat_and_take_few_parameters() -> None:
    found = [said for module in modules() for f in judged(module) for said in beyond(module, f)]

    assert found == []


def test_nine_in_ten_are_well_below_the_limit() -> None:
    files = [module.text.count("\n") for module in modules()]
    functions = [n_lines(f) for module in modules() for f in judged(module)]

    assert statistics.quantiles(files, n=10)[-1] <= FILE_LINES_P90
    assert statistics.quantiles(functions, n=10)[-1] <= FUNCTION_LINES_P90


def test_every_exemption_is_still_needed() -> None:
    long = {
        f"{module.name}:{function.name}"
        for module in modules()
        for function in judged(module)
        if n_lines(function) > FUNCTION_LINES
    }

    assert set(EXEMPT) <= long


def test_the_type_checker_skips_kernels_and_nothing_else() -> None:
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]
    skipped = {
        name
        for part in overrides["overrides"]
        if "ignore_errors" in part
        for name in part["module"]
    }
    kernels = {m for m in modules() if m.path.stem.endswith("_kernel")}
    floor = {"watchkeeper.compiled.hashing", "watchkeeper.compiled.memory"}

    assert skipped == floor | {
        "watchkeeper." + m.name.removesuffix(".py").replace("/", ".") for m in kernels
    }


def test_a_kernel_file_holds_kernels_alone() -> None:
    kernels = [module for module in modules() if module.path.stem.endswith("_kernel")]

    assert kernels
    assert [said for module in kernels for said in strangers(module)] == []
