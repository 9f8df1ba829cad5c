"""Bundles with a bit flipped, a page lost, a file of another one; signed ones that are wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("onnxruntime")

from geobridge.export.signing import sign
from geobridge.onboard.bundle import MANIFEST, Bundle, file_entry, write_manifest
from geobridge.onboard.errors import GeobridgeError
from geobridge.onboard.manifest import Manifest
from geobridge.onboard.retrieval import layer as layers
from geobridge.onboard.retrieval.graph import Graph, build
from geobridge.onboard.store.probe import try_out
from tests.damaged import damages, refusals
from tests.small_bundle import signed_bundle


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles, signed by one key; of other lands and encoders."""
    folder = tmp_path_factory.mktemp("made")
    signed_bundle(folder / "one", 1)
    signed_bundle(folder / "two", 2, seed=1)
    return folder


@pytest.mark.fault("B1", "every file flipped, cut, zeroed, swapped", "refused before any parser")
def test_whatever_is_spoilt_is_refused_before_anything_parses_it(
    made: Path, tmp_path: Path
) -> None:
    """A short form of `scripts/spoil_bundles`."""
    folder, trust = Path(shutil.copytree(made / "one", tmp_path / "one")), made / "release.pub"
    Bundle.open(folder, [trust])
    count = 0
    for what, path, content in damages(folder, made / "two", 1):
        said = refusals(folder, trust, path, content, tmp_path / "store")
        assert all(path.name in line or "manifest" in line for line in said), what
        count += 1
    assert count > 70
    assert not (tmp_path / "store").exists()


class Spoilt:
    """A bundle to change in one way and sign again, as somebody with the key may by mistake."""

    def __init__(self, folder: Path, other: Path) -> None:
        self.path, self.other = folder, other
        self.manifest: Manifest = Bundle.open(folder).manifest

    def manifest_says(self, key: str, **changes: Any) -> None:
        entry = getattr(self.manifest, key)
        self.manifest = self.manifest.model_copy(update={key: entry.model_copy(update=changes)})

    def encoders_say(self, **changes: Any) -> None:
        encoders = tuple(each.model_copy(update=changes) for each in self.manifest.encoders)
        self.manifest = self.manifest.model_copy(update={"encoders": encoders})

    def preprocess_says(self, *, in_files: bool = False, **changes: Any) -> None:
        entry = self.manifest.encoders[0].preprocess.model_copy(update=changes)
        self.encoders_say(preprocess=entry)
        for each in self.manifest.encoders if in_files else ():
            self.header_says(each.path, preprocess_sha256=entry.spec.sha256)

    def header_says(self, path: str, **changes: str) -> None:
        model = onnx.load(self.path / path)
        told = {entry.key: entry.value for entry in model.metadata_props} | changes
        onnx.helper.set_model_props(model, told)
        onnx.save(model, str(self.path / path))

    def array(self, path: str, change: Callable[[Any], Any]) -> None:
        np.save(self.path / path, change(np.load(self.path / path)))

    def from_other(self, *names: str) -> None:
        for name in names:
            shutil.copy(self.other / name, self.path / name)

    def signed(self, key: Path) -> None:
        files = tuple(
            file_entry(self.path, self.path / each.path, each.role) for each in self.manifest.files
        )
        raw = self.manifest.model_copy(update={"files": files})
        write_manifest(self.path, raw)
        try:
            sign(self.path, key)
        except GeobridgeError:  # sign refuses what can be seen in the manifest: forge it
            from geobridge.export.keys import read_private_key
            from geobridge.onboard.signing import DOMAIN

            text = (self.path / MANIFEST).read_bytes()
            (self.path / "manifest.sig").write_bytes(read_private_key(key).key.sign(DOMAIN + text))


def _exchanged(places: Any) -> Any:
    lat_deg = places["lat_deg"].copy()
    places["lat_deg"], places["lon_deg"] = places["lon_deg"], lat_deg
    return places


def _moved(places: Any) -> Any:
    places["lat_deg"] += 0.001
    return places


def _moved_everywhere(spoilt: Spoilt) -> None:
    """Consistent in itself: 12 m to the east, in metres and in degrees."""

    def move(places: Any) -> Any:
        places["east_m"] += 12.0
        there = np.column_stack([places["east_m"], places["north_m"]])
        frame = spoilt.manifest.coverage.frame
        places["lat_deg"], places["lon_deg"] = frame.to_geodetic(there)
        return places

    spoilt.array("reference/places.npy", move)


def _other_metric(spoilt: Spoilt) -> None:
    import faiss

    halves = np.load(spoilt.path / "reference/descriptors.npy").astype(np.float32)
    index = faiss.IndexHNSWSQ(halves.shape[1], faiss.ScalarQuantizer.QT_8bit, 16, faiss.METRIC_L2)
    index.train(halves)
    index.add(halves)
    faiss.write_index(index, str(spoilt.path / "reference/graphs/0.faiss"))


def _other_dimension(spoilt: Spoilt) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(spoilt.manifest.descriptor.count, 8))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    Graph(build(rows), 16).save(spoilt.path / "reference/graphs/0.faiss")


def _exchanged_encoders(spoilt: Spoilt) -> None:
    drone, satellite = (
        spoilt.path / f"encoders/{view}.fp32.onnx" for view in ("drone", "satellite")
    )
    content = drone.read_bytes()
    drone.write_bytes(satellite.read_bytes())
    satellite.write_bytes(content)


def _layer_says(**changes: Any) -> Callable[[Spoilt], None]:
    def change(spoilt: Spoilt) -> None:
        entry = spoilt.manifest.layers[0].model_copy(update=changes)
        spoilt.manifest = spoilt.manifest.model_copy(update={"layers": (entry,)})

    return change


OTHERS = ("reference/descriptors.npy", "reference/graphs/0.faiss")
MODELS = (
    "encoders/drone.fp32.onnx",
    "encoders/satellite.fp32.onnx",
    "known_answers/drone.images.npy",
    "known_answers/drone.descriptors.npy",
    "known_answers/satellite.images.npy",
    "known_answers/satellite.descriptors.npy",
)


def _other_model(spoilt: Spoilt) -> None:
    spoilt.from_other(*MODELS)
    spoilt.encoders_say(
        checkpoint_sha256=Bundle.open(spoilt.other).manifest.encoders[0].checkpoint_sha256
    )


def _two_checkpoints(spoilt: Spoilt) -> None:
    one, two = spoilt.manifest.encoders
    changed = one.model_copy(update={"checkpoint_sha256": "0" * 64})
    spoilt.manifest = spoilt.manifest.model_copy(update={"encoders": (changed, two)})


WRONG: dict[str, tuple[Callable[[Spoilt], None], str]] = {
    "dimension in the manifest": (
        lambda b: b.manifest_says("descriptor", dimension=32),
        "not a graph of 49 places of 32 dimensions",
    ),
    "dimension of the graph": (_other_dimension, "not a graph of 49 places of 16 dimensions"),
    "metric in the manifest": (
        lambda b: b.manifest_says("descriptor", metric="l2"),
        "descriptor.metric",
    ),
    "metric of the graph": (_other_metric, "not a graph of 49 places"),
    "number of places": (
        lambda b: b.manifest_says("descriptor", count=48),
        "layers hold 49 places, descriptor.count says 48",
    ),
    "encoders of exchanged views": (_exchanged_encoders, "view differs"),
    "view of a layer": (_layer_says(view="street"), "reference/places.npy"),
    "footprint of a layer": (_layer_says(footprint_m=32.0), "reference/places.npy"),
    "mean": (lambda b: b.preprocess_says(mean=(0.1, 0.5, 0.5)), "preprocess_sha256 differs"),
    "std": (lambda b: b.preprocess_says(std=(0.5, 0.5, 0.5)), "preprocess_sha256 differs"),
    "interpolation": (
        lambda b: b.preprocess_says(interpolation="bicubic"),
        "preprocess_sha256 differs",
    ),
    "size": (lambda b: b.preprocess_says(height_px=16, width_px=16), "preprocess_sha256 differs"),
    "size, in the files too": (
        lambda b: b.preprocess_says(in_files=True, height_px=16, width_px=16),
        "Got: 16 Expected: 8",
    ),
    "interpolation, in the files too": (
        lambda b: b.preprocess_says(in_files=True, interpolation="bicubic"),
        "answers differently here than when packed",
    ),
    "places in another CRS": (
        lambda b: b.array("reference/places.npy", _moved),
        "latitude and longitude lie elsewhere",
    ),
    "latitude and longitude exchanged": (
        lambda b: b.array("reference/places.npy", _exchanged),
        "latitude and longitude lie elsewhere",
    ),
    "origin exchanged": (
        lambda b: b.manifest_says("coverage", origin_lat_deg=8.5, origin_lon_deg=47.4),
        "latitude and longitude lie elsewhere",
    ),
    "places moved, consistently": (_moved_everywhere, "do not belong together"),
    "imagery moved": (
        lambda b: b.manifest_says("imagery", west_m=-26.0),
        "do not belong together",
    ),
    "scale of the imagery": (
        lambda b: b.manifest_says("imagery", gsd_m=0.55),
        "do not belong together",
    ),
    "index of another model": (lambda b: b.from_other(*OTHERS), "do not belong together"),
    "model of another index": (_other_model, "do not belong together"),
    "one encoder of another checkpoint": (_two_checkpoints, "of 2 checkpoints"),
    "known answers of another model": (
        lambda b: b.from_other(*MODELS[2:4]),
        "answers differently here than when packed",
    ),
    "no known answers": (
        lambda b: setattr(b, "manifest", b.manifest.model_copy(update={"known_answers": ()})),
        "no known answers",
    ),
    "heights of another planet": (
        lambda b: b.array("reference/terrain.npy", lambda heights: heights + 30_000.0),
        "above all mountains",
    ),
    "descriptors of any length": (
        lambda b: b.array("reference/descriptors.npy", lambda rows: rows * np.float16(2.0)),
        "not of unit length",
    ),
    "descriptors that are no numbers": (
        lambda b: b.array("reference/descriptors.npy", lambda rows: rows * np.float16(np.nan)),
        "not of unit length",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.fault("B2", "signed, and inconsistent in 28 ways", "refused, by the check named")
def test_a_signed_bundle_whose_parts_contradict_each_other(
    name: str, made: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(made / "one", tmp_path / "one"))
    spoilt, (spoil, expected) = Spoilt(folder, made / "two"), WRONG[name]
    spoil(spoilt)
    spoilt.signed(made / "release.key")
    with pytest.raises(GeobridgeError) as error:
        _flown(folder, made / "release.pub")
    assert expected in str(error.value)
    assert "by an unknown key" not in str(error.value)
    assert "\n" not in str(error.value)


def _flown(folder: Path, trust: Path) -> None:
    Bundle.open(folder, [trust])
    try_out(folder, "onnxruntime", "fp32")


def test_a_graph_over_another_index_leads_nowhere(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a graph finds is ranked by the true descriptors: it can lose, and cannot lie."""
    monkeypatch.setattr(layers, "EXACT_UP_TO", 10)
    folder = Path(shutil.copytree(made / "one", tmp_path / "one"))
    spoilt = Spoilt(folder, made / "two")
    spoilt.from_other("reference/graphs/0.faiss")
    spoilt.signed(made / "release.key")
    from geobridge.onboard.retrieval.index import Index

    index = Index.open(Bundle.open(folder, [made / "release.pub"]))
    for row, query in enumerate(np.asarray(index.descriptors, np.float32)):
        for candidate in index.search(query / np.linalg.norm(query), 3):
            held = np.asarray(index.descriptors[candidate.place], np.float32)
            assert candidate.score == pytest.approx(float(held @ query), abs=0.01), row


def test_the_bundle_itself_is_well(made: Path) -> None:
    for name in ("one", "two"):
        try_out(made / name, "onnxruntime", "fp32")
