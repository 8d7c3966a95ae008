"""What is compiled is compiled before a server listens, once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from watchkeeper import cli

IS_COLD = "from watchkeeper.cli.ahead import is_cold; print(is_cold())"
COMPILES = "import sys; print('numba.np.linalg' in sys.modules)"
"""Numba's compiler knows all that it can compile; it takes a quarter of a second to learn it."""


def test_a_cache_is_cold_until_something_was_compiled_and_then_no_compiler_is_made_ready(
    tmp_path: Path,
) -> None:
    cache = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", f"{IS_COLD}; {COMPILES}"]

    said = [
        subprocess.run(command, env=cache, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]

    assert said == ["True\nTrue\n", "False\nFalse\n"]


def test_compiling_leaves_nothing_behind_but_what_was_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    status = cli.main(["compile", "--json"])

    assert status == 0
    assert json.loads(capsys.readouterr().out)["seconds"] > 0
    assert list(tmp_path.iterdir()) == []
