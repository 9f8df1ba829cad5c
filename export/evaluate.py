"""`geobridge evaluate`: figures of a benchmark, of checkpoints and of encoders as they fly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geobridge.onboard.bundle import MANIFEST, Bundle
from geobridge.onboard.engines.engine import open_engine
from geobridge.onboard.errors import DataError
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.views import View
from geobridge.training import checkpoint as checkpoints
from geobridge.training.datasets.layouts.recognise import recognise
from geobridge.training.datasets.layouts.triples import offered
from geobridge.training.evaluation.benchmark import Asked, benchmark
from geobridge.training.evaluation.describer import Describer, NetworkDescriber
from geobridge.training.evaluation.evaluate_checkpoint import evaluate as six_directions
from geobridge.training.evaluation.flying import Encoded, FlyingDescriber

from .record import RECORD, ExportedEncoder, read_record


def evaluate(
    models: Sequence[Path],
    data: Path | None = None,
    protocols: Sequence[str] = (),
    variant: str = "",
    out: Path | None = None,
    dims: Sequence[int] = (),
    searches: Sequence[str] = ("exact",),
    flips: bool | None = None,
    engine: str = "onnxruntime",
    split: str = "test",
    max_places: int | None = None,
) -> Sequence[dict[str, Any]]:
    """The rows of a benchmark; of a checkpoint alone on triples the six directions and guessing.

    Args:
        models: checkpoints, folders that export wrote, ONNX files in them, bundles.
        data: the data set; None for the triples that the checkpoint was trained on.
        protocols: by name; all of the data set's where none is named.
        variant: of the data set.
        out: folder of the report.
        dims: lengths of descriptors to try besides the whole.
        searches: "exact" and "hnsw".
        flips: over what the protocol says.
        engine: of exported encoders.
        split: of triples.
        max_places: of the six directions, so many and no more.

    Raises:
        DataError, BundleError, EngineError: in one line.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise DataError(f"-o {out}: exists and is not a folder")
    plain = not (protocols or out or dims or variant) and tuple(searches) == ("exact",)
    if len(models) == 1 and plain and not _flies(models[0]) and _are_triples(data, split):
        return six_directions(models[0], data, split, max_places)
    if data is None:
        raise DataError("--dataset: name the data set")
    if max_places is not None:
        raise DataError("--max-places: a protocol has all; it is for the six directions alone")
    if not variant and recognise(data) == "geoloc":
        variant = split
    describers = [each for model in models for each in describers_of(model, engine)]
    asked = Asked(tuple(protocols), variant, tuple(dims), tuple(searches), flips)
    return benchmark(describers, data, asked, out)


def describers_of(model: Path, engine: str) -> list[Describer]:
    """One for a checkpoint; of an export or a bundle one for every precision.

    Raises:
        DataError, BundleError, EngineError: it is none of these, or cannot be opened.
    """
    if (model / MANIFEST).exists():
        return _of_bundle(Bundle.open(model), engine)
    if model.suffix == ".onnx":
        return _of_export(model.parent, engine, model.name)
    if (model / RECORD).exists():
        return _of_export(model, engine)
    return [NetworkDescriber(checkpoints.read(model))]


def _of_export(folder: Path, engine: str, only: str = "") -> list[Describer]:
    """A file alone stands for all files of its precision: queries and gallery need one each."""
    record = read_record(folder)
    named = {entry.file: entry.precision for entry in record.encoders}
    if only and only not in named:
        raise DataError(f"{folder / only}: not in {RECORD}, which has {', '.join(named)}")
    precisions = [named[only]] if only else list(dict.fromkeys(named.values()))
    return [
        FlyingDescriber(
            f"{folder.name} {precision}",
            {
                View(entry.view): _opened(folder, entry, engine)
                for entry in record.encoders
                if entry.precision == precision
            },
        )
        for precision in precisions
    ]


def _opened(folder: Path, entry: ExportedEncoder, engine: str) -> Encoded:
    weights = folder / entry.weights if entry.weights else None
    runtime = open_engine(engine, folder / entry.file, weights)
    return Encoded(runtime, entry.preprocess.spec, f"{entry.digest}-{engine}")


def _of_bundle(bundle: Bundle, engine: str) -> list[Describer]:
    """Its encoders, after each gave the bundle's known answers."""
    entries = bundle.manifest.encoders
    hashes = {file.path: file.sha256 for file in bundle.manifest.files}
    found: list[Describer] = []
    for precision in dict.fromkeys(entry.precision for entry in entries):
        encoders = {}
        for entry in (each for each in entries if each.precision == precision):
            opened = Encoder.open(bundle, View(entry.view), engine, precision)
            digest = f"{hashes[entry.path]}-{engine}"
            encoders[View(entry.view)] = Encoded(opened.engine, opened.preprocess, digest)
        found.append(FlyingDescriber(f"{bundle.path.name} {precision}", encoders))
    return found


def _flies(model: Path) -> bool:
    return model.suffix == ".onnx" or any((model / name).exists() for name in (MANIFEST, RECORD))


def _are_triples(data: Path | None, split: str) -> bool:
    """Also a folder of splits of which one is called otherwise."""
    if data is None or offered(data / split):
        return True
    try:
        return recognise(data) == "geoloc"
    except DataError:
        return False
