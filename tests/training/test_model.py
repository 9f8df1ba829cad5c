from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from geobridge.onboard.config import validate
from geobridge.onboard.errors import ConfigError
from geobridge.onboard.views import View
from geobridge.training.config_model import ModelConfig, PreprocessConfig
from geobridge.training.model import GeoBridge, ImageEncoder, build_model, tokenizer
from geobridge.training.runs.pipeline import TensorBatch
from geobridge.training.start import equip
from geobridge.training.towers import resize_input

RESIDUAL = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 8}
TRANSFORMER = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TEXT = {"layers": 1, "width": 16, "heads": 1, "context_length": 16, "vocab_size": 49408}
TIMM = {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token", "image_size": 224}
CONVOLUTIONS = {"timm_model_name": "convnext_atto", "timm_pool": "avg"}
TAG = "geobridge-test-tiny"


def config(**keys: Any) -> ModelConfig:
    custom = {"embed_dim": 16, "vision": TRANSFORMER, "text": TEXT}
    tree = keys if "name" in keys else custom | keys
    return validate(ModelConfig, tree, "model")


def shown(height_px: int, width_px: int, **keys: Any) -> PreprocessConfig:
    return PreprocessConfig(height_px=height_px, width_px=width_px, **keys)


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
    model = build_model(config(vision=vision), shown(32, 32)).eval()
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
    model = build_model(config(shared_image_towers=True), shown(32, 32)).eval()
    own = build_model(config(), shown(32, 32))
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
    model = build_model(config(), shown(height_px, width_px)).eval()
    image = model.encode_image(View.DRONE, images(3, height_px, width_px))
    text = model.encode_text(tokenizer(config())(["a field", "a roof beside a road"]))
    assert (image.shape, text.shape) == ((3, 16), (2, 16))
    for descriptor in (image, text):
        torch.testing.assert_close(descriptor.norm(dim=1), torch.ones(len(descriptor)))
    assert not torch.allclose(text[0], text[1])


def test_pixels_are_normalised_inside_the_model() -> None:
    torch.manual_seed(0)
    plain = build_model(config(), shown(32, 32, mean=(0.0,) * 3, std=(1.0,) * 3)).eval()
    torch.manual_seed(0)
    shifted = build_model(config(), shown(32, 32, mean=(0.2,) * 3, std=(0.5,) * 3)).eval()
    pictures = images(2, 32, 32)
    pixels = (pictures.permute(0, 3, 1, 2) / 255.0 - 0.2) / 0.5
    expected = torch.nn.functional.normalize(
        plain.images["drone"].get_submodule("tower")(pixels), dim=-1
    )
    torch.testing.assert_close(shifted.encode_image(View.DRONE, pictures), expected)


def test_a_model_without_text_says_so() -> None:
    model = build_model(config(text_tower=False, text=None), shown(32, 32))
    assert model.text is None
    with pytest.raises(ValueError, match="no text tower"):
        model.encode_text(torch.zeros(1, 16, dtype=torch.long))


def test_temperature_starts_as_configured_and_is_clamped() -> None:
    model = build_model(config(init_temperature=0.05), shown(32, 32))
    assert float(model.logit_scale.detach()) == pytest.approx(20.0)
    with torch.no_grad():
        model.log_scale.fill_(50.0)
    model.hold_temperature()
    assert float(model.logit_scale.detach()) == pytest.approx(100.0)


def test_a_tag_without_weights_is_random() -> None:
    model = build_model(config(name="ViT-B-32", views=["satellite"]), shown(224, 224)).eval()
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
    model = build_model(config(name=tag, pretrained=str(path)), shown(32, 32))
    assert_loaded(model, trained)


def test_weights_of_a_folder_are_loaded(trained: dict[str, torch.Tensor], tmp_path: Path) -> None:
    folder = local_model(tmp_path, trained)
    spec = shown(32, 32, mean=(0.5,) * 3, std=(0.25,) * 3)
    model = build_model(config(name=folder), spec)
    assert_loaded(model, trained)
    assert tokenizer(config(name=folder))(["a field"]).shape == (1, 16)
    with pytest.raises(ConfigError, match=r"preprocess\.mean: .* needs \[0\.5, 0\.5, 0\.5\]"):
        build_model(config(name=folder), shown(32, 32))


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
    problem = refusal(config(name=tag, pretrained=str(path)), shown(32, 32))
    assert str(path) in problem
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_model_are_refused(
    tag: str, trained: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    save_file({n: t for n, t in trained.items() if "resblocks.1" not in n}, path)
    problem = refusal(config(name=tag, pretrained=str(path)), shown(32, 32))
    assert "Missing key" in problem


def test_pretrained_weights_keep_their_normalisation(
    tag: str, trained: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    save_file(trained, path)
    chosen = config(name=tag, pretrained=str(path))
    assert "preprocess.mean" in refusal(chosen, shown(32, 32, mean=(0.5,) * 3))
    assert "preprocess.std" in refusal(chosen, shown(32, 32, std=(0.5,) * 3))


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
    assert problem in refusal(config(**keys), shown(*size_px))


def refusal(chosen: ModelConfig, spec: PreprocessConfig) -> str:
    with pytest.raises(ConfigError) as caught:
        build_model(chosen, spec)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600
    return text


def batch_of(config: ModelConfig, spec: PreprocessConfig, count: int = 3) -> TensorBatch:
    pictures = {
        view: images(count, spec.spec_of(view).height_px, spec.spec_of(view).width_px, seed)
        for seed, view in enumerate(View)
    }
    sides = (*pictures, "text")
    return TensorBatch(
        images=pictures,
        present={str(side): torch.ones(count, dtype=torch.bool) for side in sides},
        tokens=tokenizer(config)(["a field", "", "a road"][:count]),
        relation=torch.eye(count, dtype=torch.int8),
        names=("a", "b", "c")[:count],
        unreadable=(),
    )


def test_every_tower_sees_every_row() -> None:
    chosen = config()
    model = build_model(chosen, shown(32, 32)).eval()
    batch = batch_of(chosen, shown(32, 32))
    descriptors = model(batch)
    assert list(descriptors) == ["drone", "satellite", "street", "text"]
    for view in View:
        expected = model.encode_image(view, batch.images[view])
        assert torch.equal(descriptors[view.value], expected)
    assert torch.equal(descriptors["text"], model.encode_text(batch.tokens))
    assert list(model(replace(batch, tokens=None))) == ["drone", "satellite", "street"]
    two = build_model(config(views=["street", "drone"], text_tower=False, text=None), shown(32, 32))
    assert sorted(two(batch)) == ["drone", "street"]


def test_a_temperature_beyond_its_limit_finds_back() -> None:
    model = build_model(config(), shown(32, 32), max_logit_scale=50.0)
    for start, low, high in ((10.0, 49.9, 50.1), (-3.0, 0.99, 1.01)):
        with torch.no_grad():
            model.log_scale.fill_(start)
        model.hold_temperature()
        assert low < float(model.logit_scale.detach()) < high
    with torch.no_grad():
        model.log_scale.fill_(2.0)
    [gradient] = torch.autograd.grad(model.logit_scale, [model.log_scale])
    assert float(gradient) == pytest.approx(math.exp(2.0))


def test_a_brought_temperature_is_held_from_the_beginning(
    tag: str, trained: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """OpenAI's is a hair above 100, where a plain clamp would leave it for ever."""
    path = tmp_path / "w.safetensors"
    save_file(trained | {"logit_scale": torch.tensor(4.6052)}, path)
    model = build_model(config(name=tag, pretrained=str(path)), shown(32, 32))
    assert float(model.log_scale.detach()) == pytest.approx(math.log(100.0), rel=1e-7)
    [gradient] = torch.autograd.grad(model.logit_scale, [model.log_scale])
    assert float(gradient) == pytest.approx(100.0, rel=1e-4)


def test_short_descriptors_are_the_first_numbers() -> None:
    encoder = build_model(config(), shown(32, 32)).eval().images["drone"]
    assert isinstance(encoder, ImageEncoder)
    whole, pictures = encoder(images(3, 32, 32)), images(3, 32, 32)
    assert encoder.length() == 16
    encoder.dimension = 5
    assert encoder.length() == 5
    expected = torch.nn.functional.normalize(whole[:, :5], dim=-1)
    torch.testing.assert_close(encoder(pictures), expected)


@pytest.mark.parametrize("name", ["custom", TAG])
@pytest.mark.usefixtures("tag")
def test_nested_dims_are_shorter_than_the_descriptor(name: str) -> None:
    keys: dict[str, Any] = {} if name == "custom" else {"name": name}
    build_model(config(**keys, nested_dims=[4, 15]), shown(32, 32))
    line = refusal(config(**keys, nested_dims=[4, 16]), shown(32, 32))
    assert line == "model.nested_dims: 16 must be less than the descriptor's 16"


WIDE = {"height_px": 32, "width_px": 32, "panorama": "wide"}


def test_a_wide_panorama_has_a_tower_twice_as_wide() -> None:
    chosen, spec = config(), PreprocessConfig(**WIDE)
    model = build_model(chosen, spec).eval()
    batch = batch_of(chosen, spec)
    assert batch.images[View.STREET].shape == (3, 32, 64, 3)
    assert {tuple(rows.shape) for rows in model(batch).values()} == {(3, 16)}
    street, drone = (model.images[v].get_submodule("tower") for v in ("street", "drone"))
    assert [len(t.get_parameter("positional_embedding")) for t in (street, drone)] == [33, 17]
    only = build_model(config(views=["street"], shared_image_towers=True), spec)
    assert only.encode_image(View.STREET, batch.images[View.STREET]).shape == (3, 16)


def test_the_position_embedding_is_widened_as_open_clip_does_it() -> None:
    """Its function goes by the name, takes squares, and so is asked for twice the square."""
    torch.manual_seed(3)
    tower = build_model(config(), shown(32, 32)).images["street"].get_submodule("tower")
    state = {"visual.positional_embedding": tower.get_parameter("positional_embedding").detach()}
    whole = SimpleNamespace(visual=SimpleNamespace(grid_size=(4, 8)))
    open_clip.model.resize_pos_embed(state, whole)
    resize_input(tower, shown(32, 64).spec, "test")
    found = tower.get_parameter("positional_embedding")
    torch.testing.assert_close(found.detach(), state["visual.positional_embedding"])


def test_a_wide_panorama_of_pretrained_weights(
    tag: str, trained: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    save_file(trained, path)
    model = build_model(config(name=tag, pretrained=str(path)), PreprocessConfig(**WIDE)).eval()
    street = model.images["street"].get_submodule("tower").get_parameter("positional_embedding")
    torch.testing.assert_close(street[0], trained["visual.positional_embedding"][0])
    assert model.encode_image(View.STREET, images(1, 32, 64)).shape == (1, 16)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"vision": RESIDUAL}, "cannot take 64x32 px: ModifiedResNet is bound to its size"),
        ({"shared_image_towers": True}, "model.shared_image_towers must be false"),
        ({"vision": CONVOLUTIONS}, "cannot take 64x32 px: ConvNeXt is bound to its size"),
    ],
)
def test_towers_that_cannot_be_wide(keys: dict[str, Any], problem: str) -> None:
    line = refusal(config(**keys), PreprocessConfig(**WIDE))
    assert line.startswith("preprocess.panorama: ")
    assert problem in line


def test_a_timm_transformer_can_be_wide() -> None:
    spec = PreprocessConfig(height_px=224, width_px=224, panorama="wide")
    model = build_model(config(vision=TIMM, views=["street"]), spec).eval()
    assert model.encode_image(View.STREET, images(1, 224, 448)).shape == (1, 16)


@pytest.mark.parametrize(
    ("name", "pretrained", "problem"),
    [
        ("ViT-L-14", "openai", "trained with QuickGELU; take ViT-L-14-quickgelu"),
        ("ViT-L/14", "openai", "trained with QuickGELU; take ViT-L-14-quickgelu"),
        ("ViT-L-14", "dfn2b", "take ViT-L-14-quickgelu"),
        ("ViT-B-32", "metaclip_400m", "take ViT-B-32-quickgelu"),
        ("RN50", "openai", "take RN50-quickgelu"),
    ],
)
def test_weights_of_another_activation_are_refused(
    name: str, pretrained: str, problem: str
) -> None:
    chosen = config(name=name, pretrained=pretrained)
    assert problem in refusal(chosen, shown(224, 224))


@pytest.mark.parametrize(("named", "tagged"), [(True, True), (False, False), (True, False)])
def test_weights_of_the_right_activation_are_taken(
    named: bool,
    tagged: bool,
    trained: dict[str, torch.Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With open_clip's own tables and loader; only the download is replaced by a file."""
    name, path = f"tiny{'-quickgelu' * named}", tmp_path / f"tiny{'-quickgelu' * named}.json"
    tree = {"embed_dim": 16, "vision_cfg": TRANSFORMER | {"image_size": 32}, "text_cfg": TEXT}
    path.write_text(json.dumps(tree | {"quick_gelu": named}))
    open_clip.add_model_config(path)
    weights = tmp_path / "w.safetensors"
    save_file(trained, weights)
    entry = {"url": "nowhere", "quick_gelu": tagged}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, {"openai": entry})
    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *_, **__: str(weights))
    chosen = config(name=name, pretrained="openai")
    if named != tagged:
        assert "trained without QuickGELU; " in refusal(chosen, shown(32, 32))
        return
    model = build_model(chosen, shown(32, 32))
    assert_loaded(model, trained)
    for view in View:
        activation = model.images[view.value].get_submodule(
            "tower.transformer.resblocks.0.mlp.gelu"
        )
        assert type(activation).__name__ == ("QuickGELU" if named else "GELU")


def test_weights_that_cannot_be_fetched_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise RuntimeError("Failed to download weights for tag 'openai': 5 retries, and so on")

    monkeypatch.setattr(open_clip, "create_model", offline)
    said = r"pretrained 'openai': its weights cannot be fetched; .* model\.pretrained=open_clip_py"
    with pytest.raises(ConfigError, match=said):
        build_model(ModelConfig(name="geobridge_l14"), shown(224, 224))


def test_the_preset_is_what_it_stands_for() -> None:
    preset = ModelConfig(name="geobridge_l14")
    assert (preset.name, preset.pretrained) == ("ViT-L-14-quickgelu", "openai")
    weights = open_clip.get_pretrained_cfg(preset.name, preset.pretrained)
    built = open_clip.get_model_config(preset.name)
    assert weights["quick_gelu"] is built["quick_gelu"] is True
    assert ModelConfig(**preset.model_dump()) == preset
    begun = ModelConfig(name="geobridge_l14", start_from="runs/a")
    assert (begun.name, begun.pretrained) == ("ViT-L-14-quickgelu", "")
    assert ModelConfig(name="geobridge_l14", pretrained="ViT-L-14.pt").pretrained == "ViT-L-14.pt"
    with pytest.raises(ValueError, match="geobridge_l14 has the weights openai, got 'laion2b_s32"):
        ModelConfig(name="geobridge_l14", pretrained="laion2b_s32b_b82k")
    with pytest.raises(ValueError, match=r"embed_dim .* belong to name = 'custom'"):
        ModelConfig(name="geobridge_l14", embed_dim=64)


def test_the_preset_of_the_paper_can_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without memory for its weights."""
    create = partial(open_clip.create_model, device="meta")
    monkeypatch.setattr(open_clip, "create_model", create)
    with torch.device("meta"):
        model = build_model(ModelConfig(name="geobridge_l14", pretrained=""), shown(224, 224))
        encoder = model.images["street"]
        assert isinstance(encoder, ImageEncoder)
        assert encoder.length() == 768
        assert model.encode_text(torch.zeros(2, 77, dtype=torch.long)).shape == (2, 768)
    activation = encoder.get_submodule("tower.transformer.resblocks.23.mlp.gelu")
    assert type(activation).__name__ == "QuickGELU"
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == pytest.approx(3 * 303.97e6 + 123.65e6, rel=1e-3)


@pytest.mark.parametrize(
    ("keys", "refused"),
    [
        ({}, ""),
        ({"vision": RESIDUAL}, "the drone tower cannot: a ModifiedResNet has no checkpoints"),
        ({"shared_image_towers": True}, ""),
    ],
)
def test_checkpointed_gradients_are_the_same(keys: dict[str, Any], refused: str) -> None:
    torch.manual_seed(0)
    plain = build_model(config(**keys), shown(32, 32))
    torch.manual_seed(0)
    chosen = config(**keys, gradient_checkpointing=True)
    other = build_model(chosen, shown(32, 32))
    if refused:
        with pytest.raises(ConfigError, match=f"model.gradient_checkpointing: {refused}"):
            equip(other, chosen, torch.device("cpu"))
        return
    equip(other, chosen, torch.device("cpu"))
    transformer = other.images["drone"].get_submodule("tower.transformer")
    assert bool(transformer.grad_checkpointing)
    for model in (plain, other):
        descriptors = model(batch_of(chosen, shown(32, 32)))
        sum((rows * torch.arange(16.0)).sum() for rows in descriptors.values()).backward()
    for (name, left), right in zip(plain.named_parameters(), other.parameters(), strict=True):
        if name != "log_scale":
            torch.testing.assert_close(left.grad, right.grad)


def test_compiled_towers_keep_their_names_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dynamo with a backend that needs no compiler; the real one takes half a minute."""
    used: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Any:
        used.append(graph)
        return graph.forward

    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **_: original(f, backend=backend))
    chosen = config(compile=True, vision=TRANSFORMER | {"layers": 1})
    model = build_model(chosen, shown(32, 32)).eval()
    names, batch = list(model.state_dict()), batch_of(chosen, shown(32, 32))
    with torch.no_grad():
        before = model(batch)
        equip(model, chosen, torch.device("cpu"))
        count = len(used)
        after = model(batch)
    assert list(model.state_dict()) == names
    assert len(used) > count
    for side in before:
        torch.testing.assert_close(after[side], before[side])


def test_a_machine_that_cannot_compile_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no working C++ compiler\nwas found")

    chosen = config(compile=True)
    model = build_model(chosen, shown(32, 32))
    monkeypatch.setattr(torch, "compile", fail)
    with pytest.raises(
        ConfigError, match=r"^model\.compile: not on this machine: no working C\+\+ "
    ):
        equip(model, chosen, torch.device("cpu"))


def test_black_pictures_stay_out_of_batch_norms() -> None:
    chosen = config(vision={"layers": [1, 1, 1, 1], "width": 8, "head_width": 8})
    batch = batch_of(chosen, shown(32, 32))
    black, whole = build_model(chosen, shown(32, 32)), batch.present["street"].clone()
    few = torch.tensor([True, False, True])
    picture = batch.images[View.STREET].clone()
    picture[~few] = 0
    thinned = replace(
        batch,
        images={**batch.images, View.STREET: picture},
        present={**batch.present, "street": few},
    )
    alone = copy.deepcopy(black)
    black.train()(thinned)
    alone.train().encode_image(View.STREET, batch.images[View.STREET][few])
    for name, value in alone.images["street"].state_dict().items():
        torch.testing.assert_close(black.images["street"].state_dict()[name], value)
    nobody = replace(batch, present={**batch.present, "street": torch.zeros_like(whole)})
    before = copy.deepcopy(black.images["street"].state_dict())
    black(nobody)["street"].sum().backward()
    assert black.images["street"].training
    for name, value in before.items():
        torch.testing.assert_close(black.images["street"].state_dict()[name], value)
    assert all(weight.grad is not None for weight in black.images["street"].parameters())
