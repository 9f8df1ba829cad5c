from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from geobridge.onboard import durable


class PowerCutError(Exception):
    pass


def cut(*_: object, **__: object) -> None:
    raise PowerCutError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "made" / "on the way" / "a.json"
    assert durable.write_text(path, "größer") == path
    assert path.read_bytes() == "größer".encode()
    durable.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["a.json"]


@pytest.mark.parametrize("failing", ["sync", "os.fsync", "Path.replace"])
def test_a_cut_leaves_the_old_file_and_nothing_else(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = durable.write_bytes(tmp_path / "a.bin", b"old")
    owner = {"sync": durable, "os.fsync": os, "Path.replace": Path}[failing]
    with monkeypatch.context() as patch:
        patch.setattr(owner, failing.rpartition(".")[2], cut)
        with pytest.raises(PowerCutError):
            durable.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_writer_that_fails_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = durable.write_bytes(tmp_path / "a.bin", b"old")

    def half(temporary: Path) -> None:
        assert temporary.parent == path.parent
        temporary.write_bytes(b"ne")
        raise PowerCutError

    with pytest.raises(PowerCutError):
        durable.write_file(path, half)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_disk_that_is_full_is_told_with_the_file(tmp_path: Path) -> None:
    """The error of a write names none by itself."""

    def full(temporary: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left") as error:
        durable.write_file(tmp_path / "a.bin", full)
    assert error.value.filename == str(tmp_path / "a.bin")


def test_a_new_file_is_never_in_the_place_of_another(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("there", "link"):
        with pytest.raises(FileExistsError):
            durable.create(tmp_path / name, b"new", 0o600)
    assert (tmp_path / "there").read_text() == "old"
    assert not (tmp_path / "nowhere").exists()


def test_a_writer_that_writes_nothing_leaves_no_empty_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        durable.write_file(tmp_path / "a.bin", lambda temporary: None)
    assert names(tmp_path) == []


def test_content_reaches_the_disk_before_its_name_and_the_name_before_we_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(durable, "sync", noting(done, "sync", durable.sync))
    monkeypatch.setattr(Path, "replace", noting(done, "replace", Path.replace))
    durable.write_bytes(tmp_path / "a.bin", b"new")
    assert done == [
        "sync .partial-a.bin",
        "replace .partial-a.bin",
        f"sync {tmp_path.name}",
    ]


def noting(done: list[str], name: str, function: Callable[..., object]) -> Callable[..., object]:
    def noted(path: Path, *more: object) -> object:
        done.append(f"{name} {path.name}")
        return function(path, *more)

    return noted


def folder(path: Path, content: str) -> Path:
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "a.txt").write_text(content)
    return path


def test_a_folder_is_published_and_replaced(tmp_path: Path) -> None:
    final = tmp_path / "bundle"
    assert durable.publish_folder(folder(tmp_path / ".new", "first"), final) == final
    assert (final / "deep" / "a.txt").read_text() == "first"
    durable.publish_folder(folder(tmp_path / ".new", "second"), final)
    assert (final / "deep" / "a.txt").read_text() == "second"
    assert names(tmp_path) == ["bundle"]


def test_leftovers_of_an_earlier_cut_do_not_stop_the_next_publication(tmp_path: Path) -> None:
    final = folder(tmp_path / "bundle", "old")
    folder(tmp_path / f"{durable.TEMPORARY_PREFIX}replaced-bundle", "older")
    durable.publish_folder(folder(tmp_path / ".new", "new"), final)
    assert (final / "deep" / "a.txt").read_text() == "new"
    assert names(tmp_path) == ["bundle"]


def test_a_folder_that_does_not_reach_the_disk_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = folder(tmp_path / "bundle", "old")
    new = folder(tmp_path / ".new", "new")
    monkeypatch.setattr(durable, "sync", cut)
    with pytest.raises(PowerCutError):
        durable.publish_folder(new, final)
    assert (final / "deep" / "a.txt").read_text() == "old"
