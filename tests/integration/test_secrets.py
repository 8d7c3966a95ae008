"""Secrets of a real server, with everything at its most talkative: none of them gets out."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench import client
from bench.peers import Server
from tests.integration.conftest import Start
from tests.operators import ran
from watchkeeper.api.door_table import DOORS
from watchkeeper.api.gateway.table import ROUTES

PASSWORD = "correct-horse-battery-staple"
WEBHOOK = "https://hooks.example.com/T000/s3cr3t-webhook"
PAGER = "pager-0123456789abcdef-s3cr3t"
REDIS = "redis-s3cr3t-pa55word"
UNREACHABLE = f"redis://:{REDIS}@127.0.0.1:1/0"
SETTINGS: dict[str, object] = {
    "aiops": {"notifications": {"slack_webhook": WEBHOOK, "pagerduty_key": PAGER}},
    "telemetry": {"level": "debug"},
    "auth": {"anonymous": "never"},
}


def command(folder: Path, *words: str, **environment: str) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, "-m", "watchkeeper", *words],
        capture_output=True, text=True, cwd=folder, timeout=120,
        env={**os.environ, **environment},
    )  # fmt: skip
    return ended.returncode, ended.stdout, ended.stderr


def new_key(data_dir: Path, *words: str) -> Any:
    made = ran("keys", "create", "x", *words, "--data-dir", str(data_dir), "--json")
    assert made.status == 0, made.err
    return made.json


def shown(*words: str) -> list[str]:
    told = ran("config", "show", *words)
    assert told.status == 0, told.err
    return [told.out, told.err]


def whole(text: str) -> list[dict[str, str]]:
    """A credential in every form that is understood."""
    basic = base64.b64encode(f"ann:{text}".encode()).decode()
    forms = (f"Bearer {text}", f"Basic {basic}")
    return [*({"authorization": form} for form in forms), {"x-api-key": text}]


def spoilt(text: str) -> list[dict[str, str]]:
    basic = base64.b64encode(f"ann:{text}".encode()).decode()
    forms = (f"Bearer {text}x", f"Basic {basic}!", text)
    return [*({"authorization": form} for form in forms), {"api-key": f"{text}0"}]


PATHS = [path for path in (*ROUTES, "/none/such") if "stream" not in path]
EACH = slice(None, None)
SOME = slice(None, None, 10)
"""What is not let in comes to no route."""


def answers(server: Server, headers: dict[str, str], which: slice) -> Iterator[str]:
    """What routes answer to good and to bad questions, with all headers."""
    url = f"http://{client.HOST}:{server.port}"
    with httpx.Client(base_url=url, headers=headers, timeout=60) as http:
        for path in PATHS[which]:
            answer = http.get(path, params={"query": "][", "limit": "x"})
            yield f"{answer.headers} {answer.text}"
        for path in list(DOORS)[which]:
            answer = http.post(path, content=b"\x00{broken")
            yield f"{answer.headers} {answer.text}"


def test_no_secret_of_a_server_gets_out(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(SETTINGS)
    folder = tmp_path / "watchkeeper"
    data_dir = folder / "data"
    keys = [new_key(data_dir, "--role", role)["key"] for role in ("admin", "viewer")]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    ann = ran("users", "create", "ann", "--role", "admin", "--data-dir", str(data_dir))

    told = [
        text
        for credential in (*keys, PASSWORD)
        for forms, which in ((whole, EACH), (spoilt, SOME))
        for headers in forms(credential)
        for text in answers(server, headers, which)
    ]
    config = str(folder / "watchkeeper.yaml")
    told += [ann.out, ann.err, *shown("--config", config)]
    told += shown("--origin", "--json", "--config", config)
    url = f"http://{client.HOST}:{server.port}"
    for flags in (("--debug",), ("--json",)):
        given = ("--url", url, "--api-key", keys[1] + "x", *flags)
        told += command(tmp_path, "query", "up", *given)[1:]
    told += command(tmp_path, "query", "][", "--url", url, WATCHKEEPER_API_KEY=keys[1])[1:]
    told += [path.read_text("utf-8", "replace") for path in folder.glob("*.log")]

    secrets = [PASSWORD, WEBHOOK, PAGER, *keys, *(key.rpartition("_")[2] for key in keys)]
    secrets += [base64.b64encode(f"ann:{secret}".encode()).decode() for secret in secrets]
    assert [secret for secret in secrets if any(secret in text for text in told)] == []
    assert any("must_show_a_key=everybody" in text for text in told)
    assert any('"status":"ok"' in text for text in told)
    assert any("debug   api.gateway.asgi: refused" in text for text in told)


def test_a_password_in_an_address_is_not_told_when_it_cannot_be_reached(tmp_path: Path) -> None:
    config = tmp_path / "watchkeeper.yaml"
    config.write_text(json.dumps({
        "data_dir": str(tmp_path / "data"), "bus": {"use": "redis", "url": UNREACHABLE}
    }))  # fmt: skip

    status, *told = command(tmp_path, "run", "--debug", "--config", str(config))
    doctor = ran("doctor", "--json", "--quick", "--config", str(config))

    assert status != 0
    assert "127.0.0.1" in doctor.out
    assert REDIS not in repr((told, doctor, shown("--config", str(config))))
