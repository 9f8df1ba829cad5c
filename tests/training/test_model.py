from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from geobridge.onboard.config import validate
from geobridge.onboard.errors import ConfigError
from geobridge.onboard.preprocess import Preprocess
from geobridge.onboard.views import View
from geobridge.training.config import ModelConfig
from geobridge.training.model import GeoBridge, build_model, tokenizer

RESIDUAL = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 8}
TRANSFORMER = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TEXT = {"layers": 1, "width": 16, "heads": 1, "context_length": 16, "vocab_size": 49408}
TAG = "geobridge-test-tiny"


def config(**keys: Any) -> ModelConfig:
    custom = {"embed_dim": 16, "vision": TRANSFORMER, "text": TEXT}
    tree = keys if "name" in keys else custom | keys
    return validate(ModelConfig, tree, "model")


def images(count: int, height_px: int, width_px: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    shape = (count, height_px, width_px, 3)
    return torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)


@pytest.fixture(scope="module")
def tag(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a small model that open_clip knows."""
    path = tmp_path_factory.mktemp("tags") / f"{TAG}.json"
    vision = TRANSFORMER | {"image_size": 32}
    path.write_text(json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": TEXT}))
    open_clip.add_model_config(path)
    return TAG


@pytest.fixture(scope="module")
def trained(tag: str) -> dict[str, torch.Tensor]:
    """Weights of that model with a temperature of their own."""
    state = open_clip.create_model(tag).state_dict()
    return {name: t.contiguous() for name, t in state.items()} | {"logit_scale": torch.tensor(3.0)}


@pytest.mark.parametrize("vision", [RESIDUAL, TRANSFORMER])
def test_towers_start_equal_and_go_their_own_ways(vision: dict[str, Any]) -> None:
    model = build_model(config(vision=vision), Preprocess(32, 32)).eval()
    pictures = images(2, 32, 32)
    drone, satellite, street = (model.encode_image(view, pictures) for view in View)
    assert torch.equal(drone, satellite)
    assert torch.equal(drone, street)
    with torch.no_grad():
        for weight in model.images["drone"].parameters():
            weight.add_(torch.randn_like(weight))
    assert not torch.allclose(model.encode_image(View.DRONE, pictures), drone)
    assert torch.equal(model.encode_image(View.STREET, pictures), street)


def test_shared_towers_stay_one() -> None:
    model = build_model(config(shared_image_towers=True), Preprocess(32, 32)).eval()
    own = build_model(config(), Preprocess(32, 32))
    with torch.no_grad():
        for weight in model.images["drone"].parameters():
            weight.add_(torch.randn_like(weight))
    pictures = images(2, 32, 32)
    drone, street = (model.encode_image(v, pictures) for v in (View.DRONE, View.STREET))
    assert torch.equal(drone, street)
    towers = {view: sum(p.numel() for p in own.images[view].parameters()) for view in own.images}
    total, shared_total = (sum(p.numel() for p in m.parameters()) for m in (own, model))
    assert total - shared_total == towers["satellite"] + towers["street"]


@pytest.mark.parametrize(("height_px", "width_px"), [(32, 32), (16, 32)])
def test_descriptors_have_unit_length(height_px: int, width_px: int) -> None:
    model = build_model(config(), Preprocess(height_px, width_px)).eval()
    image = model.encode_image(View.DRONE, images(3, height_px, width_px))
    text = model.encode_text(tokenizer(config())(["a field", "a roof beside a road"]))
    assert (image.shape, text.shape) == ((3, 16), (2, 16))
    for descriptor in (image, text):
        torch.testing.assert_close(descriptor.norm(dim=1), torch.ones(len(descriptor)))
    assert not torch.allclose(text[0], text[1])


def test_pixels_are_normalised_inside_the_model() -> None:
    torch.manual_seed(0)
    plain = build_model(config(), Preprocess(32, 32, mean=(0.0,) * 3, std=(1.0,) * 3)).eval()
    torch.manual_seed(0)
    shifted = build_model(config(), Preprocess(32, 32, mean=(0.2,) * 3, std=(0.5,) * 3)).eval()
    pictures = images(2, 32, 32)
    pixels = (pictures.permute(0, 3, 1, 2) / 255.0 - 0.2) / 0.5
    expected = torch.nn.functional.normalize(
        plain.images["drone"].get_submodule("tower")(pixels), dim=-1
    )
    torch.testing.assert_close(shifted.encode_image(View.DRONE, pictures), expected)


def test_a_model_without_text_says_so() -> None:
    model = build_model(config(text_tower=False, text=None), Preprocess(32, 32))
    assert model.text is None
    with pytest.raises(ValueError, match="no text tower"):
        model.encode_text(torch.zeros(1, 16, dtype=torch.long))


def test_temperature_starts_as_configured_and_is_clamped() -> None:
    model = build_model(config(init_temperature=0.05), Preprocess(32, 32))
    assert float(model.logit_scale.detach()) == pytest.approx(20.0)
    with torch.no_grad():
        model.log_scale.fill_(50.0)
    assert float(model.logit_scale.detach()) == pytest.approx(100.0)


def test_a_tag_without_weights_is_random() -> None:
    model = build_model(config(name="ViT-B-32", views=["satellite"]), Preprocess(224, 224)).eval()
    with torch.no_grad():
        assert model.encode_image(View.SATELLITE, images(1, 224, 224)).shape == (1, 512)
    assert float(model.logit_scale.detach()) == pytest.approx(1 / 0.07)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_of_a_file_are_loaded(
    suffix: str, tag: str, trained: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / f"weights{suffix}"
    write: Callable[..., object] = torch.save if suffix == ".pt" else save_file
    write(trained, path)
    model = build_model(config(name=tag, pretrained=str(path)), Preprocess(32, 32))
    assert_loaded(model, trained)


def test_weights_of_a_folder_are_loaded(trained: dict[str, torch.Tensor], tmp_path: Path) -> None:
    folder = local_model(tmp_path, trained)
    spec = Preprocess(32, 32, mean=(0.5,) * 3, std=(0.25,) * 3)
    model = build_model(config(name=folder), spec)
    assert_loaded(model, trained)
    assert tokenizer(config(name=folder))(["a field"]).shape == (1, 16)
    with pytest.raises(ConfigError, match=r"preprocess\.mean: .* needs \[0\.5, 0\.5, 0\.5\]"):
        build_model(config(name=folder), Preprocess(32, 32))


def local_model(folder: Path, weights: dict[str, torch.Tensor]) -> str:
    vision = TRANSFORMER | {"image_size": 32}
    model = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": TEXT}
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    text = json.dumps({"model_cfg": model, "preprocess_cfg": preprocess})
    (folder / "open_clip_config.json").write_text(text)
    save_file(weights, folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"


def assert_loaded(model: GeoBridge, weights: dict[str, torch.Tensor]) -> None:
    for view in View:
        tower = model.images[view.value].get_submodule("tower").state_dict()
        assert {f"visual.{name}" for name in tower} == {n for n in weights if n[:7] == "visual."}
        assert all(torch.equal(t, weights[f"visual.{name}"]) for name, t in tower.items())
    assert model.text is not None
    text = model.text.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in text.items())
    assert float(model.log_scale.detach()) == pytest.approx(3.0)


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (Path("ran"), "harm")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("w.safetensors", lambda data: data[: len(data) // 2]),
        ("w.safetensors", lambda data: b""),
        ("w.pt", lambda data: data[: len(data) // 2]),
        ("w.pt", lambda data: b"these are no weights"),
        ("w.pt", lambda data: pickle.dumps({"a": Harmful()})),
    ],
)
def test_a_weights_file_that_is_none_is_named(
    name: str,
    damage: Callable[[bytes], bytes],
    tag: str,
    trained: dict[str, torch.Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_file(trained, tmp_path / "w.safetensors")
    torch.save(trained, tmp_path / "w.pt")
    path = tmp_path / name
    path.write_bytes(damage(path.read_bytes()))
    problem = refusal(config(name=tag, pretrained=str(path)), Preprocess(32, 32))
    assert str(path) in problem
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_model_are_refused(
    tag: str, trained: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    save_file({n: t for n, t in trained.items() if "resblocks.1" not in n}, path)
    problem = refusal(config(name=tag, pretrained=str(path)), Preprocess(32, 32))
    assert "Missing key" in problem


def test_pretrained_weights_keep_their_normalisation(
    tag: str, trained: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    save_file(trained, path)
    chosen = config(name=tag, pretrained=str(path))
    assert "preprocess.mean" in refusal(chosen, Preprocess(32, 32, mean=(0.5,) * 3))
    assert "preprocess.std" in refusal(chosen, Preprocess(32, 32, std=(0.5,) * 3))


@pytest.mark.parametrize(
    ("keys", "size_px", "problem"),
    [
        ({"name": "ViT-B-33"}, (224, 224), "ViT-B-33"),
        ({"name": "local-dir:/nowhere"}, (224, 224), "/nowhere"),
        ({"name": TAG, "pretrained": "openai"}, (32, 32), "openai"),
        ({"name": TAG}, (64, 64), "takes 32x32 px, configured are 64x64 px"),
        ({"vision": RESIDUAL}, (32, 48), "takes 32x32 px, configured are 48x32 px"),
        ({"vision": TRANSFORMER | {"image_size": 64}}, (32, 32), "64x64"),
        ({"vision": TRANSFORMER | {"pathc_size": 8}}, (32, 32), "pathc_size"),
        ({"vision": TRANSFORMER | {"head_width": 0}}, (32, 32), "open_clip cannot build"),
        ({"vision": TRANSFORMER | {"patch_size": 0}}, (32, 32), "open_clip cannot build"),
        ({"vision": {"layers": "two"}}, (32, 32), "open_clip cannot build"),
        ({"text": TEXT | {"heads": 3}}, (32, 32), "open_clip cannot build"),
    ],
)
@pytest.mark.usefixtures("tag")
def test_a_model_that_cannot_be_is_refused_in_one_line(
    keys: dict[str, Any], size_px: tuple[int, int], problem: str
) -> None:
    assert problem in refusal(config(**keys), Preprocess(*size_px))


def refusal(chosen: ModelConfig, spec: Preprocess) -> str:
    with pytest.raises(ConfigError) as caught:
        build_model(chosen, spec)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600
    return text
