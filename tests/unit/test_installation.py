"""The installation's key: made once, kept, private, and never replaced beside data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from watchkeeper.errors import ConfigError
from watchkeeper.store.installation import FILE_NAME, installation_key


def test_the_key_is_made_once_and_stays(tmp_path: Path) -> None:
    first = installation_key(tmp_path / "new")

    assert len(first) == 16
    assert installation_key(tmp_path / "new") == first


def test_two_installations_have_different_keys(tmp_path: Path) -> None:
    assert installation_key(tmp_path / "a") != installation_key(tmp_path / "b")


def test_nobody_else_may_read_the_key_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    installation_key(tmp_path)

    (only,) = tmp_path.iterdir()
    assert only.name == FILE_NAME
    assert only.stat().st_mode & 0o777 == 0o600


def test_starting_at_the_same_time_gives_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: installation_key(tmp_path), range(32)))

    assert keys == {installation_key(tmp_path)}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_torn_key_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"short")

    with pytest.raises(ConfigError, match="holds 5 bytes, not 16; restore it from a backup"):
        installation_key(tmp_path)


@pytest.mark.parametrize("folder", ["log", "lake", "catalog"])
def test_a_missing_key_beside_data_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "something").touch()

    with pytest.raises(ConfigError, match=r"is missing although .* is not empty"):
        installation_key(tmp_path)


def test_empty_folders_are_no_data(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "lost+found").mkdir()

    assert len(installation_key(tmp_path)) == 16


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="let this user read and write"):
        installation_key(tmp_path / "file")
