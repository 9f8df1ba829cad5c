"""A checkpoint: a folder of safetensors and JSON, complete or not there at all.

<run>/step-00000500/checkpoint.json         format version, step, the whole configuration, hashes
<run>/step-00000500/model.safetensors       weights of all towers and the temperature
<run>/step-00000500/optimizer.safetensors   moments, and the state of the random generator
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from geobridge.onboard import durable
from geobridge.onboard.bundle import sha256
from geobridge.onboard.config import validate
from geobridge.onboard.errors import DataError

from .config import TrainConfig
from .model import GeoBridge, build_model

FORMAT_VERSION = 1
RECORD, MODEL, OPTIMIZER = "checkpoint.json", "model.safetensors", "optimizer.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint folder and what its record says."""

    path: Path
    step: int
    config: TrainConfig
    model_sha256: str


def save(
    config: TrainConfig, step: int, model: GeoBridge, optimizer: torch.optim.Optimizer
) -> Path:
    """Write the checkpoint of `step` as a whole, then drop the oldest beyond `keep_checkpoints`."""
    run = Path(config.run.folder)
    final = run / f"step-{step:08d}"
    partial = run / f"{durable.TEMPORARY_PREFIX}{final.name}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(_own_tensors(model), partial / MODEL)
    save_file(_optimizer_tensors(optimizer), partial / OPTIMIZER)
    record = {
        "format_version": FORMAT_VERSION,
        "step": step,
        "config": config.model_dump(mode="json"),
        "sha256": {name: sha256(partial / name) for name in (MODEL, OPTIMIZER)},
    }
    (partial / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    durable.publish_folder(partial, final)
    for old in checkpoints(run)[: -config.run.keep_checkpoints]:
        shutil.rmtree(old)
    return final


def checkpoints(run: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    return sorted(path.parent for path in run.glob(f"step-????????/{RECORD}"))


def read(path: Path) -> Checkpoint:
    """Read and check a checkpoint; of a run folder, its newest one.

    Raises:
        DataError: not a checkpoint, of another format, or damaged; names the file.
    """
    if not (path / RECORD).exists() and checkpoints(path):
        path = checkpoints(path)[-1]
    record = _record(path / RECORD)
    for name, expected in record["sha256"].items():
        file = path / name
        if not file.is_file():
            raise DataError(f"{file}: missing")
        if sha256(file) != expected:
            raise DataError(f"{file}: truncated or changed since it was written")
    config = validate(TrainConfig, record["config"], str(path / RECORD))
    return Checkpoint(path, record["step"], config, record["sha256"][MODEL])


def load(checkpoint: Checkpoint) -> GeoBridge:
    """The network with the checkpoint's weights, on the CPU, in evaluation mode.

    Raises:
        DataError: the weights do not fit the network that the configuration describes.
    """
    fresh = checkpoint.config.model.model_copy(update={"pretrained": ""})
    model = build_model(fresh, checkpoint.config.preprocess.spec)
    restore_model(model, checkpoint)
    return model.eval()


@torch.no_grad()
def restore_model(model: GeoBridge, checkpoint: Checkpoint) -> None:
    """Put the checkpoint's weights into a network built from the same configuration.

    Raises:
        DataError: names the first tensor that does not fit.
    """
    path, targets = checkpoint.path / MODEL, _own_tensors(model)
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path}: not a safetensors file: {error}") from None
    for name in sorted(set(targets) ^ set(tensors)):
        where = "lacks" if name in targets else "has an unknown"
        raise DataError(f"{path}: does not fit the model: {where} {name}")
    for name, target in targets.items():
        if target.shape != tensors[name].shape:
            shapes = f"{tuple(tensors[name].shape)}, the model's is {tuple(target.shape)}"
            raise DataError(f"{path}: does not fit the model: {name} is {shapes}")
        target.copy_(tensors[name])


def restore_optimizer(optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """Put the moments and the random generator back where they were."""
    tensors = load_file(checkpoint.path / OPTIMIZER)
    torch.set_rng_state(tensors.pop("torch_rng"))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _own_tensors(model: GeoBridge) -> dict[str, torch.Tensor]:
    """Every weight once, under its first name: shared towers repeat theirs under others."""
    first: dict[int, str] = {}
    state = model.state_dict(keep_vars=True)
    for name, tensor in state.items():
        first.setdefault(id(tensor), name)
    return {name: state[name].detach().contiguous() for name in first.values()}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    tensors = {"torch_rng": torch.get_rng_state()}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            tensors[f"{index}.{key}"] = value.contiguous()
    return tensors


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path.parent}: not a checkpoint, {RECORD}: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from None
    version = record.get("format_version") if isinstance(record, dict) else None
    if version != FORMAT_VERSION:
        raise DataError(f"{path}: format_version {version}, this version reads {FORMAT_VERSION}")
    for key in ("step", "config", "sha256"):
        if key not in record:
            raise DataError(f"{path}: key {key} is missing")
    if not isinstance(record["step"], int):
        raise DataError(f"{path}: step is no whole number")
    if not isinstance(record["sha256"], dict) or set(record["sha256"]) != {MODEL, OPTIMIZER}:
        raise DataError(f"{path}: sha256 must name {MODEL} and {OPTIMIZER}")
    return dict(record)
