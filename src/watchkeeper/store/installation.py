"""The installation's secret: the key of all identities, made once and never changed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from watchkeeper.errors import ConfigError
from watchkeeper.store.base import SharedStore

FILE_NAME: Final = "installation.key"
KEY_BYTES: Final = 16


def check_key(data_dir: Path) -> None:
    """Raises ConfigError where a folder cannot be used, or has data and no key. To be asked first:
    whatever else is built would only meet the same, and say less of it."""
    path = data_dir / FILE_NAME
    with _translated(path):
        _read(path)


def installation_key(data_dir: Path) -> bytes:
    """The key of the installation in a folder; made at the first call, safe against a crash.

    A series' identity is a hash under this key, so with another key everything that is stored
    would belong to strangers. A key that is missing beside data is therefore never made anew.
    """
    path = data_dir / FILE_NAME
    with _translated(path):
        key = _read(path)
        if key is None:
            _create(path, secrets.token_bytes(KEY_BYTES))
            key = path.read_bytes()  # ours, or that of who was quicker
    return key


async def shared_key(data_dir: Path, store: SharedStore) -> bytes:
    """The key of an installation of several processes, each with a folder: the store has it.

    The first process' key becomes the store's; the folder keeps it, too, to tell whose it is.
    """
    path = data_dir / FILE_NAME
    with _translated(path):
        ours = _read(path)
    key = await store.shared_key(secrets.token_bytes(KEY_BYTES) if ours is None else ours)
    if ours is None:
        with _translated(path):
            _create(path, key)
    elif key != ours:
        raise ConfigError(
            f"data_dir: {path} is of another installation than the store; "
            "set the data_dir or the store that belongs to it"
        )
    return key


def _read(path: Path) -> bytes | None:
    """None where there is no key yet, and may be one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _refuse_beside_data(path.parent, path)
        return None
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"data_dir: {path} holds {len(key)} bytes, not {KEY_BYTES}; restore it from a backup"
        )
    return key


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"data_dir: {path}: {error.strerror}; let this user read and write {path.parent}"
        ) from error


def _refuse_beside_data(data_dir: Path, path: Path) -> None:
    stored = [name for name in ("log", "lake", "catalog") if any((data_dir / name).glob("*"))]
    if stored:
        raise ConfigError(
            f"data_dir: {path} is missing although {data_dir / stored[0]} is not empty; "
            "restore the key from a backup, or start with an empty data_dir"
        )


def _create(path: Path, key: bytes) -> None:
    """Whole or not at all, and never over one that another process has just made."""
    new = path.with_name(f".{FILE_NAME}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, key)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        path.hardlink_to(new)
    except FileExistsError:
        pass  # theirs counts
    finally:
        new.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
