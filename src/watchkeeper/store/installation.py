"""What is made once and stays with an installation: the key under which identities are hashed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from watchkeeper.errors import ConfigError

KEY_BYTES = 16


def installation_key(data_dir: Path) -> bytes:
    """The 16 secret bytes of this installation; made at first start, never changed.

    With another key every series would be a stranger, so a damaged file is an error, not a reason
    to make a new one.
    """
    path = data_dir / "installation.key"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            key = secrets.token_bytes(KEY_BYTES)
            _write_once(path, key)
            key = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"data_dir: cannot use '{data_dir}': {error.strerror}; give a folder that this process "
            "may write to"
        ) from error
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"{path}: holds {len(key)} bytes, not {KEY_BYTES}; restore it from a backup of this "
            "installation, or begin with an empty data_dir"
        )
    return key


def _write_once(path: Path, key: bytes) -> None:
    """Whole or not at all; whoever comes second leaves the first one's key."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, key)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
