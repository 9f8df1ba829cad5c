from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from geobridge.onboard.config import validate
from geobridge.onboard.errors import ConfigError, DataError
from geobridge.onboard.views import View
from geobridge.training.checkpoint import save_weights
from geobridge.training.config import TrainConfig
from geobridge.training.model import GeoBridge, build_model
from geobridge.training.start import new_model

VISION = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TEXT = {"layers": 1, "width": 16, "heads": 1, "context_length": 16, "vocab_size": 60}

Start = Callable[..., tuple[GeoBridge, GeoBridge]]


def settings(preprocess: dict[str, Any] | None = None, **model: Any) -> TrainConfig:
    tree = {
        "model": {"embed_dim": 16, "vision": VISION, "text": TEXT} | model,
        "preprocess": {"height_px": 32, "width_px": 32} | (preprocess or {}),
        "data": {"source": "triples", "folder": ""},
        "optim": {"steps": 1},
        "run": {"folder": ""},
    }
    return validate(TrainConfig, tree, "test")


def pictures(width_px: int = 32) -> torch.Tensor:
    random = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (2, 32, width_px, 3), generator=random, dtype=torch.uint8)


def trained(config: TrainConfig) -> GeoBridge:
    """A network in which every view has weights of its own, as after training."""
    model = build_model(config.model, config.preprocess)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
        model.log_scale.fill_(2.5)
    return model.eval()


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """From a checkpoint of `source` a network as `settings` describe it."""

    def run(
        source: TrainConfig, preprocess: dict[str, Any] | None = None, **model: Any
    ) -> tuple[GeoBridge, GeoBridge]:
        before = trained(source)
        folder = save_weights(source, before, tmp_path / "source")
        after = new_model(settings(preprocess, start_from=str(folder), **model))
        return before, after.eval()

    return run


@torch.no_grad()
def equal(before: GeoBridge, one: View, after: GeoBridge, other: View) -> bool:
    left, right = before.encode_image(one, pictures()), after.encode_image(other, pictures())
    return torch.allclose(left, right, rtol=0, atol=1e-6)


def test_every_weight_is_taken(start: Start) -> None:
    before, after = start(settings())
    for view in View:
        assert equal(before, view, after, view)
    tokens = torch.arange(32).reshape(2, 16)
    torch.testing.assert_close(before.encode_text(tokens), after.encode_text(tokens))
    assert float(after.log_scale.detach()) == 2.5


def test_views_and_texts_that_are_not_asked_for_are_left(start: Start) -> None:
    before, after = start(settings(), views=["street"], text_tower=False, text=None)
    assert list(after.images) == ["street"]
    assert after.text is None
    assert equal(before, View.STREET, after, View.STREET)


@pytest.mark.parametrize(
    "source", [{"shared_image_towers": True, "views": ["drone", "satellite"]}, {"views": ["drone"]}]
)
def test_a_missing_view_starts_from_the_one_tower_there_is(
    source: dict[str, Any], start: Start
) -> None:
    before, after = start(settings(**source))
    for view in View:
        assert equal(before, View.DRONE, after, view)
    assert after.images["drone"].get_submodule("tower") is not after.images["street"].tower


def test_shared_towers_start_from_shared_ones(start: Start) -> None:
    source = settings(shared_image_towers=True, views=["satellite", "drone"])
    before, after = start(source, shared_image_towers=True)
    assert equal(before, View.DRONE, after, View.STREET)
    assert after.images["drone"].get_submodule("tower") is after.images["street"].tower


def test_a_run_of_squares_becomes_one_of_wide_panoramas(start: Start) -> None:
    before, after = start(settings(), {"panorama": "wide"})
    assert equal(before, View.DRONE, after, View.DRONE)
    old, new = (
        model.images["street"].get_submodule("tower").state_dict() for model in (before, after)
    )
    assert len(new["positional_embedding"]) == 33
    changed = {n for n in old if old[n].shape != new[n].shape or not torch.equal(old[n], new[n])}
    assert changed == {"positional_embedding"}
    assert after.encode_image(View.STREET, pictures(64)).shape == (2, 16)


def test_a_run_of_wide_panoramas_goes_on_as_one(start: Start) -> None:
    before, after = start(settings({"panorama": "wide"}), {"panorama": "wide"})
    with torch.no_grad():
        old, new = (model.encode_image(View.STREET, pictures(64)) for model in (before, after))
    torch.testing.assert_close(old, new)


@pytest.mark.parametrize(
    ("source", "target", "problem"),
    [
        ({"views": ["drone", "satellite"]}, {}, "has no street tower; it has drone, satellite"),
        (
            {},
            {"shared_image_towers": True},
            "has a tower for every view, model.shared_image_towers",
        ),
        ({"text_tower": False, "text": None}, {}, "has no text tower; set model.text_tower"),
        ({"quick_gelu": True}, {}, "differs at .*mlp.gelu: has QuickGELU, wanted GELU"),
        ({"vision": VISION | {"layers": 3}}, {}, "the drone tower differs at .*resblocks.2"),
        (
            {"vision": VISION | {"head_width": 32}},
            {},
            "resblocks.0.attn: has MultiheadAttention of 1 heads, wanted",
        ),
        ({"vision": VISION | {"width": 64}}, {}, "the drone tower differs at "),
        ({"embed_dim": 32}, {}, "differs at proj: has .32, 32., wanted .32, 16."),
        ({"text": TEXT | {"layers": 2}}, {}, "the text tower differs at .*resblocks.1"),
        ({"preprocess": {"height_px": 48, "width_px": 48}}, {}, "differs at positional_embedding"),
        ({"preprocess": {"panorama": "wide"}}, {}, "the street tower differs at positional_emb"),
        ({"preprocess": {"mean": [0.5, 0.5, 0.5]}}, {}, "preprocess.mean: .* was trained with"),
    ],
)
def test_another_architecture_is_refused_in_one_line(
    source: dict[str, Any], target: dict[str, Any], problem: str, start: Start
) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        start(settings(**source), **target)
    assert "\n" not in str(caught.value)


def test_dropped_patches_do_not_change_what_fits(start: Start) -> None:
    before, after = start(settings(), vision=VISION | {"patch_dropout": 0.5})
    assert equal(before, View.DRONE, after, View.DRONE)


def test_a_start_that_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not a checkpoint, checkpoint\.json: No such file"):
        new_model(settings(start_from=str(tmp_path)))
