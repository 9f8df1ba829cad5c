"""A power cut at any moment of a durable write, by the rules of `tests.crash_states`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from geobridge.onboard import durable
from geobridge.onboard.mavlink.signing import SigningClock
from geobridge.onboard.store.state import SlotEntry, State, read_state, write_state
from tests.crash_states import Tree, ends, laid, states, watched

Action = Callable[[Path], object]


def left_by(folder: Path, action: Action, most: int = 300) -> list[Tree]:
    """The states that a cut may leave while `action` works in the folder."""
    with watched(folder) as watch:
        action(folder)
    return [tree for _, tree in states(watch, most)]


def test_the_enumeration_finds_what_is_wrong_with_plain_writing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    found = {tree.get("a") for tree in left_by(tmp_path, lambda f: (f / "a").write_bytes(b"new!"))}
    assert found == {b"old", b"ne", bytes(4), b"new!"}


def test_a_rename_without_a_sync_may_leave_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def careless(folder: Path) -> None:
        (folder / "b").write_bytes(b"new!")
        (folder / "b").replace(folder / "a")

    assert b"" in {tree.get("a") for tree in left_by(tmp_path, careless)}


def test_a_new_name_without_a_sync_of_the_folder_may_be_gone(tmp_path: Path) -> None:
    def careless(folder: Path) -> None:
        (folder / "a").write_bytes(b"new!")
        durable.sync(folder / "a")

    assert {} in left_by(tmp_path, careless)


def test_a_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    durable.write_bytes(tmp_path / "a", b"old")
    found = left_by(tmp_path, lambda folder: durable.write_bytes(folder / "a", b"new!"))
    assert {tree["a"] for tree in found} == {b"old", b"new!"}
    assert len(found) >= 5
    with watched(tmp_path) as watch:
        durable.write_bytes(tmp_path / "a", b"newer")
    assert ends(watch) == [{"a": b"newer"}], "what returned is on the disk"


def test_a_file_in_a_new_folder_is_there_when_it_returns(tmp_path: Path) -> None:
    with watched(tmp_path) as watch:
        durable.write_bytes(tmp_path / "one/two/a", b"new!")
    assert [tree.get("one/two/a") for tree in ends(watch)] == [b"new!"]


def test_a_key_that_was_told_of_is_whole(tmp_path: Path) -> None:
    with watched(tmp_path) as watch:
        durable.create(tmp_path / "a.key", b"secret", 0o600)
    assert ends(watch) == [{"a.key": b"secret"}]


def made(folder: Path, text: bytes) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "a").write_bytes(text)
    (folder / "deep/b").write_bytes(text)
    return folder


def whole(tree: Tree, name: str) -> bytes | None:
    """What a published folder holds; None where it is not there, an error where it is torn."""
    if name not in tree:
        return None
    one, two = tree.get(f"{name}/a"), tree.get(f"{name}/deep/b")
    assert one == two
    assert one in (b"old", b"new!")
    return one


@pytest.mark.fault("B6", "a power cut while a folder is published", "the old folder or the new")
def test_a_folder_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    made(tmp_path / "final", b"old")
    found = left_by(
        tmp_path, lambda f: durable.publish_folder(made(f / ".new", b"new!"), f / "final")
    )
    assert {whole(tree, "final") for tree in found} == {b"old", b"new!"}
    assert len(found) > 30


def test_where_names_cannot_be_exchanged_one_of_both_is_whole(tmp_path: Path) -> None:
    made(tmp_path / "final", b"old")
    beside = f"{durable.TEMPORARY_PREFIX}replaced-final"

    def publish(folder: Path) -> None:
        with patch.object(durable, "exchange", lambda one, other: False):
            durable.publish_folder(made(folder / ".new", b"new!"), folder / "final")

    for tree in left_by(tmp_path, publish):
        assert whole(tree, "final") or whole(tree, beside)


ENTRY = SlotEntry(
    bundle_version=1, manifest_sha256="0" * 64, signed_by="0" * 16, standing="good", why=""
)


def test_the_state_of_a_store_is_always_there(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    first = write_state(store, State(newest_version=1, slots={"a": ENTRY}))
    second = write_state(store, first.model_copy(update={"newest_version": 2}))
    third: list[State] = []

    def change(folder: Path) -> None:
        third.append(write_state(folder, second.model_copy(update={"newest_version": 3})))

    found = [
        read_state(laid(tree, tmp_path / f"cut{number}"))
        for number, tree in enumerate(left_by(store, change))
    ]
    assert {state.newest_version for state in found} == {2, 3}
    assert found[-1] in (second, *third)


def test_signing_timestamps_never_go_back(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    start_ns = 1_800_000_000 * 1_000_000_000
    now = [start_ns]
    clock = SigningClock(kept / "signing", lambda: now[0])
    clock.save()
    used = clock.now()

    def later(folder: Path) -> None:
        now[0] += 3600 * 1_000_000_000
        clock.save()

    for number, tree in enumerate(left_by(kept, later)):
        again = SigningClock(laid(tree, tmp_path / f"cut{number}") / "signing", lambda: 0)
        assert again.now() >= used


@pytest.mark.parametrize("content", [b"", b"x"])
def test_an_empty_file_is_a_file(tmp_path: Path, content: bytes) -> None:
    with watched(tmp_path) as watch:
        durable.write_bytes(tmp_path / "a", content)
    assert ends(watch) == [{"a": content}]
