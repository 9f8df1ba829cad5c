"""A checkpoint: a folder of safetensors and JSON, complete or not there at all.

<run>/step-00000500/checkpoint.json     format version, step, the whole configuration, hashes of the
                                        files, and one of all that it says itself
<run>/step-00000500/model.safetensors   weights of all towers and the temperature: those that are
                                        evaluated and exported, so averaged ones where there are any
<run>/step-00000500/state.safetensors   all else that training needs to go on
<run>/best/                             the same, of the step that did best on the validation split

One without state.safetensors holds weights alone, as an import does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from geobridge.onboard import durable
from geobridge.onboard.bundle import sha256
from geobridge.onboard.config import validate
from geobridge.onboard.errors import DataError

from .checkpoint_record import (
    FORMAT_VERSION,
    MODEL,
    RECORD,
    STATE,
    Standing,
    digest_of,
    read_record,
)
from .config import TrainConfig
from .model import POINTS, GeoBridge, build_model

BEST = "best"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint folder and what its record says."""

    path: Path
    standing: Standing
    config: TrainConfig
    model_sha256: str
    has_state: bool = True
    """Whether training can go on from it."""

    @property
    def step(self) -> int:
        """How many are done."""
        return self.standing.step


def save(
    config: TrainConfig,
    standing: Standing,
    weights: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
) -> Path:
    """Write a whole checkpoint of a run, then drop the oldest beyond `keep_checkpoints`.

    Raises:
        OSError: it cannot be written; nothing of it is left.
    """
    run = Path(config.run.folder)
    files = {MODEL: weights, STATE: state}
    path = _write(path_of(run, standing.step), config, standing, files)
    for old in checkpoints(run)[: -config.run.keep_checkpoints]:
        shutil.rmtree(old)
    return path


def save_weights(config: TrainConfig, model: GeoBridge, out: Path) -> Path:
    """Write a checkpoint of weights alone to the folder `out`; export and `start_from` read it."""
    return _write(out, config, Standing(0), {MODEL: own_tensors(model)})


def path_of(run: Path, step: int) -> Path:
    """The folder of a step's checkpoint."""
    return run / f"step-{step:08d}"


def keep_best(path: Path) -> Path:
    """Let `best` beside a checkpoint be that checkpoint, without a second copy on the disk."""
    partial = path.with_name(f"{durable.TEMPORARY_PREFIX}{BEST}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        shutil.copytree(path, partial, copy_function=_link)
        return durable.publish_folder(partial, path.with_name(BEST))
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def checkpoints(run: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    return sorted(path.parent for path in run.glob(f"step-????????/{RECORD}"))


def read(path: Path) -> Checkpoint:
    """Read and check a checkpoint; of a run folder, its best one or, not validated, its newest.

    Raises:
        DataError: not a checkpoint, of another format, or damaged; names the file.
    """
    if not (path / RECORD).exists():
        if (path / BEST / RECORD).exists():
            path = path / BEST
        elif checkpoints(path):
            path = checkpoints(path)[-1]
    record = read_record(path / RECORD)
    for name, expected in record["sha256"].items():
        file = path / name
        if not file.is_file():
            raise DataError(f"{file}: missing")
        if sha256(file) != expected:
            raise DataError(f"{file}: truncated or changed since it was written")
    config = validate(TrainConfig, record["config"], str(path / RECORD))
    standing = Standing(*(record[key] for key in ("step", "steps", "processes", "best")))
    hashes = record["sha256"]
    return Checkpoint(path, standing, config, hashes[MODEL], STATE in hashes)


def load(checkpoint: Checkpoint) -> GeoBridge:
    """The network with the checkpoint's weights, on the CPU, in evaluation mode.

    Raises:
        DataError: the weights do not fit the network that the configuration describes.
    """
    model = build(checkpoint.config)
    restore_model(model, checkpoint)
    return model.eval()


def build(config: TrainConfig) -> GeoBridge:
    """The network of a checkpoint, before it has the checkpoint's weights."""
    fresh = config.model.model_copy(update={"pretrained": "", "start_from": ""})
    return build_model(fresh, config.preprocess, config.objective.max_logit_scale)


def restore_model(model: GeoBridge, checkpoint: Checkpoint) -> None:
    """Put the checkpoint's weights into a network built from the same configuration.

    Raises:
        DataError: names the first tensor that does not fit.
    """
    copy_into(own_tensors(model), read_weights(checkpoint), checkpoint.path / MODEL)


def read_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The weights by name.

    Raises:
        DataError: the file is none of weights.
    """
    return _tensors(checkpoint.path / MODEL)


def read_state(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """What training needs beside the weights to go on."""
    return _tensors(checkpoint.path / STATE)


@torch.no_grad()
def copy_into(targets: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors that were read from `path` into those of the same name.

    Raises:
        DataError: names the first tensor that does not fit.
    """
    for name in sorted(set(targets) ^ set(tensors)):
        where = "lacks" if name in targets else "has an unknown"
        raise DataError(f"{path}: does not fit the model: {where} {name}")
    for name, target in targets.items():
        if target.shape != tensors[name].shape:
            shapes = f"{tuple(tensors[name].shape)}, the model's is {tuple(target.shape)}"
            raise DataError(f"{path}: does not fit the model: {name} is {shapes}")
        target.copy_(tensors[name])


def own_tensors(model: GeoBridge) -> dict[str, Tensor]:
    """Every weight once, under its first name: shared towers repeat theirs under others.

    Without those of a tower of points, which has nothing to say once training is over.
    """
    first: dict[int, str] = {}
    state = model.state_dict(keep_vars=True)
    for name, tensor in state.items():
        if not is_of_points(name):
            first.setdefault(id(tensor), name)
    return {name: state[name].detach() for name in first.values()}


def is_of_points(name: str) -> bool:
    """Whether a weight is of a tower of points."""
    return name.startswith(f"{POINTS}.")


def _write(
    final: Path,
    config: TrainConfig,
    standing: Standing,
    files: Mapping[str, Mapping[str, Tensor]],
) -> Path:
    partial = final.with_name(f"{durable.TEMPORARY_PREFIX}{final.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        for name, tensors in files.items():
            _write_tensors(tensors, partial / name)
        whole = {
            "format_version": FORMAT_VERSION,
            **asdict(standing),
            "config": config.model_dump(mode="json"),
            "sha256": {name: sha256(partial / name) for name in files},
        }
        whole["record_sha256"] = digest_of(whole)
        (partial / RECORD).write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
        return durable.publish_folder(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path}: not a safetensors file: {error}") from None


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)
