"""The installation's key: made once, kept, private, and never replaced beside data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from watchkeeper.errors import ConfigError
from watchkeeper.store.installation import FILE_NAME, check_key, installation_key, shared_key


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


class Shelf:
    """A shared store, as far as it keeps a key."""

    def __init__(self) -> None:
        self.key: bytes | None = None

    async def shared_key(self, ours: bytes) -> bytes:
        self.key = self.key or ours
        return self.key


async def test_processes_of_one_store_have_one_key_in_every_folder(tmp_path: Path) -> None:
    shelf = Shelf()

    keys = [await shared_key(tmp_path / name, shelf) for name in ("a", "b", "a")]

    assert keys == [shelf.key] * 3
    assert [(tmp_path / name / FILE_NAME).read_bytes() for name in ("a", "b")] == keys[:2]


async def test_the_key_of_a_folder_becomes_that_of_a_new_store(tmp_path: Path) -> None:
    ours = installation_key(tmp_path)

    assert await shared_key(tmp_path, Shelf()) == ours


async def test_a_folder_of_another_installation_than_the_store_is_refused(tmp_path: Path) -> None:
    shelf = Shelf()
    installation_key(tmp_path / "stranger")
    await shared_key(tmp_path / "first", shelf)

    with pytest.raises(ConfigError, match="of another installation than the store"):
        await shared_key(tmp_path / "stranger", shelf)


async def test_a_store_gives_no_key_to_a_folder_that_lost_its_own(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "something").touch()
    shelf = Shelf()

    with pytest.raises(ConfigError, match="restore the key from a backup"):
        await shared_key(tmp_path, shelf)

    assert shelf.key is None


def test_a_check_of_the_key_makes_none(tmp_path: Path) -> None:
    check_key(tmp_path)

    assert list(tmp_path.iterdir()) == []
