"""A power cut at any moment of an installation, a start, a flight: the old bundle, or the new."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("onnx")

from geobridge.onboard.bundle import Bundle
from geobridge.onboard.store import install as installing
from geobridge.onboard.store.aboard import GOOD_NS, Aboard, chosen
from geobridge.onboard.store.install import install
from geobridge.onboard.store.store import Store
from tests.crash_states import laid, states, watched
from tests.small_bundle import signed_bundle

MOST = 6
"""States drawn for each step; `scripts/crash_states` tries more."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    signed_bundle(folder / "one", 1)
    signed_bundle(folder / "two", 2, seed=1)
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with version 1, which is good."""
    monkeypatch.setattr(installing, "probe", lambda folder, *_: Bundle.open(folder))
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    (tmp_path / "onboard.toml").write_text(
        f'bundle = "store:{tmp_path}/store"\ntrusted_keys = ["{tmp_path}/release.pub"]\n'
        '[camera]\nhfov_deg = 70.0\n[source]\nframes = "camera:0"\n'
    )
    install(tmp_path / "one", tmp_path / "onboard.toml", on_the_bench=True)
    store = Store(tmp_path / "store")
    store.change(lambda state: state.with_slot("a", standing="good"))
    return tmp_path


def flies_after(here: Path, action: Callable[[], object], most: int = MOST) -> Counter[int]:
    """Versions that would fly after a cut at any moment of what is done; each is whole."""
    with watched(here / "store") as watch:
        action()
    found: Counter[int] = Counter()
    for number, (_, tree) in enumerate(states(watch, most)):
        folder = laid(tree, here / f"cut{number}")
        state = chosen(Store(folder).state())
        assert state.active is not None
        bundle = Bundle.open(folder / state.active, [here / "release.pub"])
        found[bundle.manifest.bundle_version] += 1
        assert bundle.manifest.bundle_version == state.slots[state.active].bundle_version
        shutil.rmtree(folder)
    return found


@pytest.mark.fault("B6", "a power cut after any step", "the old bundle or the new")
def test_cut_while_installing(here: Path) -> None:
    found = flies_after(
        here, lambda: install(here / "two", here / "onboard.toml", on_the_bench=True)
    )
    assert set(found) == {1, 2}
    assert found.total() > 100


def test_a_cut_installation_is_done_again(here: Path) -> None:
    with watched(here / "store") as watch:
        install(here / "two", here / "onboard.toml", on_the_bench=True)
    trees = [tree for _, tree in states(watch, 2)]
    for tree in trees[:: len(trees) // 12]:
        shutil.rmtree(here / "store")
        laid(tree, here / "store")
        install(here / "two", here / "onboard.toml", on_the_bench=True)
        state = Store(here / "store").state()
        assert state.active is not None
        assert Bundle.open(here / "store" / state.active).manifest.bundle_version == 2
        assert not list((here / "store").glob(".partial-*"))


def test_cut_while_a_trial_starts_and_proves_itself(here: Path) -> None:
    install(here / "two", here / "onboard.toml", on_the_bench=True)

    def flight() -> None:
        aboard = Aboard(Store(here / "store"))
        aboard.round(1, is_safe=False)
        aboard.round(GOOD_NS + 2, is_safe=False)
        aboard.close()

    assert set(flies_after(here, flight, 200)) == {2}


def test_cut_while_falling_back(here: Path) -> None:
    install(here / "two", here / "onboard.toml", on_the_bench=True)

    def starts() -> None:
        for _ in range(4):
            Aboard(Store(here / "store")).close()

    assert set(flies_after(here, starts, 200)) == {1, 2}
