"""`geobridge run` over a store: what flies, what is counted, and what a refusal leads to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from geobridge.onboard.cli import main
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.store import install as installing
from geobridge.onboard.store import probe as probing
from geobridge.onboard.store.store import DAEMON, Store
from tests.small_bundle import signed_bundle


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


@pytest.fixture
def here(tmp_path: Path, peer: socket.socket, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Versions 1, which is good, and 2, on trial, in a store; and a flight of three pictures."""
    (tmp_path / "frames").mkdir()
    rows = ["time_s,file,height_agl_m"]
    for number in range(3):
        picture = np.random.default_rng(number).integers(0, 256, (48, 64, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"frames/{number}.png"), picture)
        rows.append(f"{number / 10},{number}.png,20")
    (tmp_path / "telemetry.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "onboard.toml").write_text(
        f'bundle = "store:{tmp_path}/store"\ntrusted_keys = ["{tmp_path}/release.pub"]\n'
        f'[camera]\nhfov_deg = 70.0\n[source]\nframes = "{tmp_path}/frames"\n'
        f'telemetry = "{tmp_path}/telemetry.csv"\n[record]\nfolder = "{tmp_path}/records"\n'
        f'[link]\naddress = "udpout:127.0.0.1:{peer.getsockname()[1]}"\noutput = "gps_input"\n'
    )
    monkeypatch.setattr(installing, "probe", probing.try_out)
    store = Store(tmp_path / "store")
    for version, name in ((1, "one"), (2, "two")):
        signed_bundle(tmp_path / name, version, seed=version)
        installing.install(tmp_path / name, tmp_path / "onboard.toml", on_the_bench=True)
        if version == 1:
            store.change(lambda state: state.with_slot("a", standing="good"))
    return tmp_path


def test_what_is_active_flies_and_an_end_in_order_is_no_mark(here: Path) -> None:
    store = Store(here / "store")
    assert store.state().active == "b"
    assert main(["run", str(here / "onboard.toml")]) == 0
    state = store.state()
    assert (state.active, state.standing("b"), state.trial_starts) == ("b", "trial", 0)
    assert not store.is_held(DAEMON)


def test_a_bundle_that_is_refused_gives_way_at_the_next_start(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = here / "store/b/reference/places.npy"
    path.chmod(0o600)
    path.write_bytes(bytes(path.stat().st_size))
    assert main(["run", str(here / "onboard.toml")]) == 2
    assert "places.npy: changed since it was packed" in capsys.readouterr().err
    state = Store(here / "store").state()
    assert (state.active, state.standing("b")) == ("a", "bad")
    assert main(["run", str(here / "onboard.toml")]) == 0
    assert main(["status", "--config", str(here / "onboard.toml")]) == 0
    assert "back to the last good one, for slot b is bad" in capsys.readouterr().out


def test_the_probe_takes_the_plans_that_flight_takes(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a Jetson whose plans lie elsewhere would refuse every bundle."""
    seen: list[Path | None] = []
    opened = Encoder.open

    def noting(*arguments: Any) -> Encoder:
        seen.extend(settings.plans for settings in arguments[4:])
        return opened(*arguments)

    monkeypatch.setattr(Encoder, "open", noting)
    text = (here / "onboard.toml").read_text()
    (here / "onboard.toml").write_text(f'{text}[localizer.retrieve]\nplans = "{here}/plans"\n')
    store = Store(here / "store")
    store.change(lambda state: state.with_slot("b", standing="good"))
    signed_bundle(here / "three", 3)
    installing.install(here / "three", here / "onboard.toml", on_the_bench=True)
    assert seen == [here / "plans"]
    monkeypatch.undo()
    probing.probe(store.slot("a"), "onnxruntime", "fp32", str(here / "plans"))


def test_a_key_that_is_revoked_grounds_what_it_signed(here: Path) -> None:
    from geobridge.export.keys import new_key, sign_list, write_list

    new_key(here / "root", "root")
    write_list(here / "keys.json", 1, revoked=[str(here / "release.pub")])
    sign_list(here / "keys.json", here / "root.key")
    text = (here / "onboard.toml").read_text()
    trust = f'trust = {{ key_list = "{here}/keys.json", root_keys = ["{here}/root.pub"],'
    (here / "onboard.toml").write_text(f"{trust} threshold = 1 }}\n{text}")
    assert main(["run", str(here / "onboard.toml")]) == 2
    state = Store(here / "store").state()
    assert (state.active, state.standing("b")) == ("b", "trial"), "nobody is trusted: no verdict"
