"""`geobridge import`: weights that others trained become a checkpoint of ours.

The result is a checkpoint folder without a training state; `geobridge export` and
`model.start_from` read it. Nothing is guessed: what leaves a doubt is refused.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor, nn

from geobridge.onboard.config import validate
from geobridge.onboard.errors import ConfigError, DataError
from geobridge.onboard.views import View

from ..checkpoint import save_weights
from ..config import TrainConfig
from ..model import GeoBridge, build_model
from .architecture import Normalisation, Towers, activation, tables
from .files import read_tensors
from .names import Tower, find_towers, left_over
from .views import parse_map, text_tower, towers_by_view

log = logging.getLogger(__name__)

LISTED = 12


def import_weights(
    weights: Sequence[Path],
    out: Path,
    model: str = "",
    views: Sequence[str] = (),
    sides: Sequence[str] = (),
    quick_gelu: bool | None = None,
    all_views: bool = False,
    shared: bool = False,
    normalisation: Normalisation = "clip",
    footprint_m: float = 150.0,
    gsd_m: float = 1.0,
    leave: Sequence[str] = (),
) -> Path:
    """Find the towers in weights files and write them as a checkpoint; its folder.

    Args:
        weights: safetensors, or what torch.save wrote of tensors alone.
        out: the folder to write; must not exist.
        model: open_clip's name of the architecture; without it shapes decide.
        views: which views are wanted; those that are found, if empty.
        sides: `VIEW=PREFIX` or `text=PREFIX`, where prefixes do not tell.
        quick_gelu: OpenAI's activation or not; weights do not tell, so `model` or this must.
        all_views: one image tower becomes that of every view.
        shared: image towers under several names are one and the same, and stay one.
        normalisation: of pixels, as the weights were trained.
        footprint_m, gsd_m: ground that a reference shows, and its sampling, as trained.
        leave: tensors whose names begin so are no part of a tower, and are meant to be left.

    Raises:
        DataError: names the file or the tower that cannot be used, or what is in doubt.
        ConfigError: an option that makes no sense.
    """
    if out.exists():
        raise DataError(f"{out}: exists; choose another folder")
    gelu, told = activation(model, quick_gelu), parse_map(sides)
    tensors = read_tensors(weights)
    towers = find_towers(_without(tensors, leave))
    images = [tower for tower in towers if tower.kind == "image"]
    if not images:
        begins = sorted({name.partition(".")[0] for name in tensors})
        raise DataError(f"{weights[0]}: no CLIP image tower; names begin with {_some(begins)}")
    _check_nothing_is_left(tensors, towers, leave)
    by_view = towers_by_view(images, told, [View(view) for view in views], all_views)
    text = text_tower([tower for tower in towers if tower.kind == "text"], told)
    _check_they_differ(by_view, shared)
    found = tables(by_view, text, model, gelu, normalisation)
    found["model"]["shared_image_towers"] = shared
    # nothing is trained: no data and no steps, but for the ground that a reference shows
    data = {"source": "triples", "folder": "", "footprint_m": footprint_m, "gsd_m": gsd_m}
    rest = {"data": data, "optim": {"steps": 1}, "run": {"folder": str(out)}}
    config = validate(TrainConfig, found | rest, "import")
    network = build_model(config.model, config.preprocess)
    _fill(network, by_view, text, config.model.name)
    _take_scale(network, tensors)
    _tell(by_view, text, towers)
    _verify(network)
    return save_weights(config, network, out)


def _check_they_differ(by_view: Towers, shared: bool) -> None:
    for (view, tower), (other, its) in combinations(by_view.items(), 2):
        if tower is its:
            continue  # which was said
        same = tower.same(its)
        if shared and not same:
            raise DataError(f"--shared: {tower.title} and {its.title} are not the same")
        if same and not shared:
            raise DataError(
                f"{view} ({tower.title}) and {other} ({its.title}) have the same weights;"
                " say --shared if that is meant"
            )


def _fill(network: GeoBridge, by_view: Towers, text: Tower | None, name: str) -> None:
    for view, tower in by_view.items():
        _copy(tower, network.images[view.value].get_submodule("tower"), name)
    if text is not None and network.text is not None:
        _copy(text, network.text, name)


@torch.no_grad()
def _copy(tower: Tower, module: nn.Module, name: str) -> None:
    targets = module.state_dict()
    for key in sorted({*targets, *tower.weights}):
        have = tuple(tower.weights[key].shape) if key in tower.weights else "nothing"
        want = tuple(targets[key].shape) if key in targets else "nothing"
        if have != want:
            where = f"the {tower.kind} tower {tower.title} does not fit {name}"
            raise DataError(f"{where}: {key} is {have}, expected {want}")
        if not bool(tower.weights[key].isfinite().all()):
            raise DataError(f"the {tower.kind} tower {tower.title}: {key} holds no finite numbers")
    for key, target in targets.items():
        target.copy_(tower.weights[key])


@torch.no_grad()
def _take_scale(network: GeoBridge, tensors: Mapping[str, Tensor]) -> None:
    names = sorted(n for n in tensors if n.rpartition(".")[2] == "logit_scale")
    values = sorted({float(tensors[n]) for n in names if tensors[n].numel() == 1})
    start = float(network.logit_scale)
    if len(values) != 1 or not 0.0 <= values[0] <= math.log(1000.0):
        found = ", ".join(f"{value:g}" for value in values) or "none"
        log.warning(
            "logit_scale: found %s; it is left at %.4g, which training learns", found, start
        )
        return
    network.log_scale.fill_(min(values[0], network.max_log_scale))
    log.info("logit_scale %.4g from %s", math.exp(values[0]), names[0])


def _without(tensors: Mapping[str, Tensor], leave: Sequence[str]) -> dict[str, Tensor]:
    """The tensors but for those that are meant to be left."""
    for prefix in leave:
        if not any(name.startswith(prefix) for name in tensors):
            raise ConfigError(f"--leave {prefix}: no tensor begins so")
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(tuple(leave))}


def _check_nothing_is_left(
    tensors: Mapping[str, Tensor], towers: list[Tower], leave: Sequence[str]
) -> None:
    """What belongs to no tower may stand between one and its descriptor; nobody would notice."""
    unused = left_over(_without(tensors, leave), towers)
    if unused:
        raise DataError(
            f"{len(unused)} tensors belong to no tower; if none of them stands between a tower and"
            f" its descriptor, say --leave PREFIX: {_some(unused)}"
        )


def _tell(by_view: Towers, text: Tower | None, towers: list[Tower]) -> None:
    sides: dict[str, Tower] = {view.value: tower for view, tower in by_view.items()}
    if text is not None:
        sides["text"] = text
    for side, tower in sides.items():
        log.info("%-9s from %s: %d tensors", side, tower.title, len(tower.names))
    if text is None:
        log.info("no text tower")
    others = [t.title for t in towers if not any(t.same(other) for other in sides.values())]
    if others:
        log.warning("left out, as no view asked for: %s", _some(others))


@torch.no_grad()
def _verify(network: GeoBridge) -> None:
    """Every tower gives finite descriptors of unit length, and not the same to all it sees."""
    network.eval()
    random = torch.Generator().manual_seed(0)
    for name, encoder in network.images.items():
        spec = encoder.preprocess
        shape = (2, spec.height_px, spec.width_px, 3)  # type: ignore[union-attr]
        pictures = torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)  # type: ignore[arg-type]
        _check_descriptors(name, network.encode_image(View(name), pictures))
    if network.text is not None:
        length = network.text.get_parameter("positional_embedding").shape[0]
        tokens = torch.zeros(2, length, dtype=torch.long)
        tokens[:, 0], tokens[:, 1] = 1, torch.tensor([2, 3])
        _check_descriptors("text", network.encode_text(tokens))


def _check_descriptors(side: str, descriptors: Tensor) -> None:
    lengths = descriptors.norm(dim=1)
    if not bool(((lengths - 1.0).abs() < 1e-3).all()):
        raise DataError(f"the {side} tower gives descriptors of length {lengths.tolist()}, no unit")
    if not float(descriptors[0] @ descriptors[1]) < 1.0 - 1e-7:
        raise DataError(f"the {side} tower gives two different inputs the same descriptor")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
