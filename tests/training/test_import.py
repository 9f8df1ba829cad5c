from __future__ import annotations

import json
import logging
import math
import pickle
import re
import zipfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import open_clip
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from geobridge.export.encoders import export
from geobridge.export.record import read_record
from geobridge.onboard.cli import main
from geobridge.onboard.engines.onnxruntime import OnnxRuntimeEngine
from geobridge.onboard.errors import ConfigError, DataError
from geobridge.onboard.views import View
from geobridge.training import checkpoint as checkpoints
from geobridge.training.imports.files import read_tensors
from geobridge.training.imports.names import find_towers, left_over
from geobridge.training.imports.views import view_of
from geobridge.training.imports.weights import import_weights
from geobridge.training.model import GeoBridge

SIDE, DIMENSION, CONTEXT = 32, 16, 12
VISION = {"image_size": SIDE, "layers": 2, "width": 64, "patch_size": 8}
TEXT = {"layers": 1, "width": 64, "heads": 1, "context_length": CONTEXT, "vocab_size": 60}
TAG = "geobridge-test-import"
VIEWS = ("drone", "satellite", "street")

Weights = dict[str, Tensor]


def clip(seed: int, **keys: Any) -> open_clip.CustomTextCLIP:
    torch.manual_seed(seed)
    return open_clip.CustomTextCLIP(DIMENSION, VISION | keys, TEXT, quick_gelu=True).eval()


@pytest.fixture(scope="module")
def clips() -> dict[str, open_clip.CustomTextCLIP]:
    """Three that differ; the first one's text tower is the one that counts."""
    return {view: clip(seed) for seed, view in enumerate(VIEWS)}


@pytest.fixture(scope="module")
def tag(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of such a model that open_clip knows."""
    path = tmp_path_factory.mktemp("import_tags") / f"{TAG}.json"
    tree = {"embed_dim": DIMENSION, "quick_gelu": True, "vision_cfg": VISION, "text_cfg": TEXT}
    path.write_text(json.dumps(tree))
    open_clip.add_model_config(path)
    return TAG


def state(module: torch.nn.Module, prefix: str = "") -> Weights:
    return {f"{prefix}{name}": t.detach().clone() for name, t in module.state_dict().items()}


def hugging_face(visual: torch.nn.Module, prefix: str, text: torch.nn.Module | None) -> Weights:
    """What CLIPModel calls the same weights."""
    named: Weights = {}
    for kind, tower in (("vision", visual), ("text", text)):
        for name, tensor in tower.state_dict().items() if tower is not None else ():
            if name in ("proj", "text_projection"):
                long = {"proj": "visual_projection"}.get(name, name)
                named[f"{prefix}{long}.weight"] = tensor.T.contiguous()
            elif "in_proj_" in name:
                for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                    new = hugging_face_name(name.replace("in_proj_", f"{letter}_proj."), kind)
                    named[f"{prefix}{kind}_model.{new}"] = part.clone()
            else:
                named[f"{prefix}{kind}_model.{hugging_face_name(name, kind)}"] = tensor.clone()
        named[f"{prefix}{kind}_model.embeddings.position_ids"] = torch.arange(3)
    return named


def hugging_face_name(name: str, kind: str) -> str:
    table = {
        "transformer.resblocks.": "encoder.layers.",
        ".attn.": ".self_attn.",
        ".ln_1.": ".layer_norm1.",
        ".ln_2.": ".layer_norm2.",
        ".c_fc.": ".fc1.",
        ".c_proj.": ".fc2.",
        "ln_pre.": "pre_layrnorm.",
        "ln_post.": "post_layernorm.",
        "ln_final.": "final_layer_norm.",
        "class_embedding": "embeddings.class_embedding",
        "conv1.": "embeddings.patch_embedding.",
        "token_embedding.": "embeddings.token_embedding.",
        "positional_embedding": "embeddings.position_embedding.weight",
    }
    for ours, theirs in table.items():
        name = name.replace(ours, theirs)
    return name


def openai(model: open_clip.CustomTextCLIP, prefix: str = "") -> Weights:
    """One CLIP with its text at the root."""
    named = state(model.visual, f"{prefix}visual.") | state(model.text, prefix)
    more = {"logit_scale": torch.tensor(math.log(50.0)), "context_length": torch.tensor(CONTEXT)}
    return named | {f"{prefix}{name}": value for name, value in more.items()}


Named = Callable[[dict[str, open_clip.CustomTextCLIP]], Weights]


def prefixed(form: str, scale: str = "logit_scale") -> Named:
    def write(clips: dict[str, open_clip.CustomTextCLIP]) -> Weights:
        first = clips["drone"]
        towers = [state(clips[view].visual, form.format(view)) for view in VIEWS]
        rest = state(first.text, form.split("{}")[0].rpartition(".")[0].rstrip(".") + ".text.")
        merged: Weights = {scale: torch.tensor(3.0)} | rest
        for tower in towers:
            merged |= tower
        return {name.removeprefix("."): tensor for name, tensor in merged.items()}

    return write


def lettered(clips: dict[str, open_clip.CustomTextCLIP]) -> Weights:
    named = state(clips["drone"].text, "module.E_t.") | {"module.logit_scale": torch.tensor(3.0)}
    for letter, view in zip("dsp", VIEWS, strict=True):
        named |= state(clips[view].visual, f"module.E_{letter}.")
    return named


def wrapped(clips: dict[str, open_clip.CustomTextCLIP]) -> Weights:
    """A whole CLIP for every view, each with the same text tower, as OpenAI names them."""
    named: Weights = {}
    for word, view in zip(("uav", "sat", "pano"), VIEWS, strict=True):
        named |= openai(clips[view], f"{word}_model.") | state(
            clips["drone"].text, f"{word}_model."
        )
    return named | {
        f"{word}_model.logit_scale": torch.tensor(3.0) for word in ("uav", "sat", "pano")
    }


def from_hugging_face(clips: dict[str, open_clip.CustomTextCLIP]) -> Weights:
    named: Weights = {"logit_scale": torch.tensor([3.0])}
    for view in VIEWS:
        text = clips["drone"].text if view == "drone" else None
        named |= hugging_face(clips[view].visual, f"model.{view}Encoder.", text)
    return named


NAMINGS = {
    "open_clip": prefixed("{}_encoder.visual."),
    "nested": prefixed("module.image_encoders.{}.tower."),
    "letters": lettered,
    "three CLIPs": wrapped,
    "Hugging Face": from_hugging_face,
}


def stored(named: Weights, path: Path, **more: Any) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in named.items()}, path)
    else:
        torch.save(more | {"state_dict": named} if more else named, path)
    return path


def loaded(run: Path) -> GeoBridge:
    return checkpoints.load(checkpoints.read(run))


def pictures(count: int = 3) -> Tensor:
    random = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, (count, SIDE, SIDE, 3), generator=random, dtype=torch.uint8)


@torch.no_grad()
def assert_same_towers(model: GeoBridge, clips: dict[str, open_clip.CustomTextCLIP]) -> None:
    """Descriptors are what the towers give outside our network."""
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])
    pixels = ((pictures() / 255.0 - mean) / std).permute(0, 3, 1, 2)
    for view in VIEWS:
        expected = clips[view].encode_image(pixels, normalize=True)
        found = model.encode_image(View(view), pictures())
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)
    tokens = torch.randint(0, 60, (3, CONTEXT))
    expected = clips["drone"].encode_text(tokens, normalize=True)
    torch.testing.assert_close(model.encode_text(tokens), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("told", [True, False])
def test_towers_are_found_whatever_they_are_called(
    naming: str,
    told: bool,
    clips: dict[str, open_clip.CustomTextCLIP],
    tag: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = stored(NAMINGS[naming](clips), tmp_path / "best_net.pth")
    how: dict[str, Any] = {"model": tag} if told else {"quick_gelu": True}
    with caplog.at_level(logging.INFO):
        run = import_weights([path], tmp_path / "run", **how)
    model = loaded(run)
    assert_same_towers(model, clips)
    assert float(model.log_scale.detach()) == pytest.approx(3.0)
    assert not checkpoints.read(run).has_state
    lines = [record.getMessage() for record in caplog.records]
    for side in (*VIEWS, "text"):
        assert sum(line.startswith(f"{side} ") and "tensors" in line for line in lines) == 1
    assert "left over" not in caplog.text


def test_one_clip_becomes_every_view_only_if_that_is_said(
    clips: dict[str, open_clip.CustomTextCLIP], tag: str, tmp_path: Path
) -> None:
    path = stored(openai(clips["drone"]), tmp_path / "clip.safetensors")
    with pytest.raises(DataError, match=r"which view is visual\?.* --all-views.*visual \(image\)"):
        import_weights([path], tmp_path / "run", model=tag)
    run = import_weights([path], tmp_path / "run", model=tag, all_views=True)
    assert_same_towers(loaded(run), dict.fromkeys(VIEWS, clips["drone"]))
    assert float(loaded(run).logit_scale.detach()) == pytest.approx(50.0)
    two = import_weights(
        [path], tmp_path / "two", model=tag, all_views=True, views=["drone", "satellite"]
    )
    assert list(loaded(two).images) == ["drone", "satellite"]
    one = import_weights([path], tmp_path / "one", model=tag, all_views=True, shared=True)
    assert_same_towers(loaded(one), dict.fromkeys(VIEWS, clips["drone"]))
    assert checkpoints.read(one).config.model.shared_image_towers
    sizes = [(each / "model.safetensors").stat().st_size for each in (one, two, run)]
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.7 * sizes[2]


def test_prefixes_without_a_word_are_mapped_by_hand(
    clips: dict[str, open_clip.CustomTextCLIP], tag: str, tmp_path: Path
) -> None:
    named: Weights = {}
    for number, view in enumerate(VIEWS):
        named |= openai(clips[view], f"model_{number}.")
    path = stored(named, tmp_path / "net_119.pth", epoch=119)
    with pytest.raises(DataError, match=r"which view is state_dict\.model_0\.visual\? .*model_2"):
        import_weights([path], tmp_path / "run", model=tag)
    sides = [f"{view}=state_dict.model_{number}" for number, view in enumerate(VIEWS)]
    with pytest.raises(DataError, match="which text tower"):
        import_weights([path], tmp_path / "run", model=tag, sides=sides)
    sides.append("text=state_dict.model_0")
    run = import_weights([path], tmp_path / "run", model=tag, sides=sides)
    assert_same_towers(loaded(run), clips)
    drone = import_weights([path], tmp_path / "drone", model=tag, sides=[sides[0], sides[-1]])
    assert list(loaded(drone).images) == ["drone"]
    same = [sides[0], sides[0].replace("drone", "street"), sides[-1]]
    both = import_weights([path], tmp_path / "both", model=tag, sides=same)
    assert list(loaded(both).images) == ["drone", "street"]


def test_every_view_in_a_file_of_its_own(
    clips: dict[str, open_clip.CustomTextCLIP], tag: str, tmp_path: Path
) -> None:
    files = [stored(state(clips[view], ""), tmp_path / f"{view}.safetensors") for view in VIEWS]
    sides = ["text=drone.text"]
    run = import_weights(files, tmp_path / "run", model=tag, sides=sides, views=VIEWS)
    assert_same_towers(loaded(run), clips)


def test_the_parts_of_one_file_are_one(
    clips: dict[str, open_clip.CustomTextCLIP], tag: str, tmp_path: Path
) -> None:
    named = sorted(from_hugging_face(clips).items())
    half = len(named) // 2
    files = [
        stored(dict(part), tmp_path / f"model-0000{number}-of-00002.safetensors")
        for number, part in ((1, named[:half]), (2, named[half:]))
    ]
    assert_same_towers(loaded(import_weights(files, tmp_path / "run", model=tag)), clips)
    with pytest.raises(DataError, match=r"holds .*, which another file holds too"):
        import_weights([*files, files[0]], tmp_path / "again", model=tag)


def test_what_belongs_to_no_tower_is_refused_unless_it_is_named(
    clips: dict[str, open_clip.CustomTextCLIP],
    tag: str,
    tmp_path: Path,
) -> None:
    named = lettered(clips) | {
        f"module.classifier.{i:02d}.weight": torch.zeros(2) for i in range(20)
    }
    named["module.loss.tau"] = torch.tensor(0.07)
    path = stored(named, tmp_path / "w.pth")
    said = r"^21 tensors belong to no tower; .* --leave PREFIX: module.classifier.00.*and 9 more$"
    refused(DataError, said, [path], tmp_path, model=tag)
    refused(
        DataError,
        "^1 tensors belong to no tower.*: module.loss.tau$",
        [path],
        tmp_path,
        model=tag,
        leave=["module.classifier"],
    )
    both = ["module.classifier.", "module.loss"]
    refused(ConfigError, "--leave net: no tensor", [path], tmp_path, model=tag, leave=["net"])
    run = import_weights([path], tmp_path / "run", model=tag, leave=both)
    assert_same_towers(loaded(run), clips)


def test_towers_that_no_view_asked_for_are_told(
    clips: dict[str, open_clip.CustomTextCLIP],
    tag: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = stored(lettered(clips), tmp_path / "w.pth")
    import_weights([path], tmp_path / "run", model=tag, views=["drone", "satellite"])
    assert "left out, as no view asked for: module.E_p" in caplog.text


def test_a_temperature_that_is_none_is_told(
    clips: dict[str, open_clip.CustomTextCLIP],
    tag: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    named = lettered(clips) | {"module.logit_scale": torch.tensor(100.0)}
    run = import_weights([stored(named, tmp_path / "w.pth")], tmp_path / "run", model=tag)
    assert "logit_scale: found 100; it is left at 14.29" in caplog.text
    assert float(loaded(run).logit_scale.detach()) == pytest.approx(1 / 0.07)


def without(clips: dict[str, open_clip.CustomTextCLIP], pattern: str) -> Weights:
    return {name: t for name, t in lettered(clips).items() if not re.search(pattern, name)}


def twice(clips: dict[str, open_clip.CustomTextCLIP]) -> Weights:
    return lettered(clips | {"satellite": clips["drone"]})


def ema(clips: dict[str, open_clip.CustomTextCLIP]) -> Weights:
    return lettered(clips) | {f"ema.{n}": t + 1 for n, t in lettered(clips).items()}


def not_finite(clips: dict[str, open_clip.CustomTextCLIP]) -> Weights:
    named = lettered(clips)
    named["module.E_s.ln_post.weight"] = torch.full((64,), math.nan)
    return named


def another_size(clips: dict[str, open_clip.CustomTextCLIP]) -> Weights:
    return lettered(clips | {"street": clip(5, layers=1)})


def dead(clips: dict[str, open_clip.CustomTextCLIP]) -> Weights:
    named = lettered(clips)
    for block in range(2):
        named[f"module.E_p.transformer.resblocks.{block}.attn.out_proj.weight"].zero_()
    return named


REFUSED: list[tuple[Callable[..., Weights], dict[str, Any], str]] = [
    (lettered, {"views": ["street"], "sides": ["drone=module.E_d"]}, "no street tower; found: "),
    (lettered, {"sides": ["drone=module"]}, "--map drone=module: 3 towers begin so; found: "),
    (lettered, {"sides": ["drone=net"]}, "--map drone=net: 0 towers begin so; found: module.E_d"),
    (lettered, {"all_views": True}, "--all-views takes one image tower"),
    (lettered, {"shared": True}, "--shared: module.E_d and module.E_s are not the same"),
    (twice, {}, r"drone \(module.E_d\) and satellite \(module.E_s\) have the same weights"),
    (ema, {}, "are both drone; say --map; found: ema.module.E_d"),
    (not_finite, {}, "the image tower module.E_s: ln_post.weight holds no finite numbers"),
    (dead, {}, "the street tower gives two different inputs the same descriptor"),
    (another_size, {}, "image tower module.E_p does not fit .*resblocks.1.* is nothing"),
    (lambda c: without(c, "E_"), {}, "no CLIP image tower; names begin with module"),
    (lambda c: without(c, "E_p"), {"views": VIEWS}, "no street tower; found: module.E_d"),
    (lambda c: without(c, "E_d.proj"), {}, r"image tower module.E_d has no projection \(proj or"),
    (lambda c: without(c, "E_d.positional"), {}, "module.E_d has no square patches with positions"),
    (lambda c: without(c, "E_t.positional"), {}, "text tower module.E_t "),
    (
        lambda c: lettered(c) | {"module.E_d.head.weight": torch.zeros(16, 16)},
        {},
        "image tower module.E_d is not a plain CLIP: has module.E_d.head.weight",
    ),
    (
        lambda c: lettered(c) | {"module.E_t.transformer.extra": torch.zeros(1)},
        {},
        "text tower module.E_t is not a plain CLIP: has module.E_t.transformer.extra",
    ),
    (
        lambda c: {
            n: t for n, t in from_hugging_face(c).items() if "0.self_attn.k_proj.b" not in n
        },
        {},
        "model.droneEncoder.vision_model: lacks .*resblocks.0.attn.k_proj.bias",
    ),
]


@pytest.mark.parametrize(("write", "how", "problem"), REFUSED)
@pytest.mark.parametrize("told", [True, False])
def test_what_is_in_doubt_is_refused(
    write: Callable[..., Weights],
    how: dict[str, Any],
    problem: str,
    told: bool,
    clips: dict[str, open_clip.CustomTextCLIP],
    tag: str,
    tmp_path: Path,
) -> None:
    path = stored(write(clips), tmp_path / "w.pth")
    how = how | ({"model": tag} if told else {"quick_gelu": True})
    refused(DataError, problem, [path], tmp_path, **how)


def refused(
    kind: type[Exception], problem: str, paths: Sequence[Path], folder: Path, **how: Any
) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(kind, match=problem) as caught:
        import_weights(paths, folder / "run", **how)
    assert "\n" not in str(caught.value)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({}, "the activation is not in the weights"),
        ({"model": "ViT-Z-99"}, "--model ViT-Z-99: open_clip has no such model"),
        ({"model": "hf-hub:owner/name"}, "expected one of open_clip's own names"),
        ({"model": "ViT-L-14", "quick_gelu": True}, "is it ViT-L-14-quickgelu?"),
        ({"model": "ViT-L-14-quickgelu", "quick_gelu": False}, "is it ViT-L-14?"),
        ({"model": "ViT-B-32"}, "preprocess: ViT-B-32 takes 224x224 px, configured are 32x32 px"),
        ({"quick_gelu": True, "sides": ["drone"]}, "--map drone: expected drone, satellite"),
        ({"quick_gelu": True, "sides": ["uav=x"]}, "--map uav=x: expected drone, satellite"),
        ({"quick_gelu": True, "sides": ["drone=x", "drone=y"]}, "drone is x already"),
        ({"quick_gelu": True, "footprint_m": -1.0}, "import: data.triples.footprint_m"),
    ],
)
def test_options_that_make_no_sense(
    how: dict[str, Any],
    problem: str,
    clips: dict[str, open_clip.CustomTextCLIP],
    tmp_path: Path,
) -> None:
    path = stored(lettered(clips), tmp_path / "w.safetensors")
    refused(ConfigError, re.escape(problem), [path], tmp_path, **how)


def test_heads_that_no_shape_tells(tmp_path: Path) -> None:
    odd = clip(0, width=80, head_width=80)
    path = stored(openai(odd), tmp_path / "w.pth")
    refused(DataError, "80 wide.*say --model", [path], tmp_path, quick_gelu=True, all_views=True)


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (Path("ran"), "harm")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("w.pth", lambda good: pickle.dumps({"a": Harmful()}), "needs the code|not a weights file"),
        ("w.pth", lambda good: good[: len(good) // 2], "not a weights file, or "),
        ("w.pth", lambda good: b"\x80e", r"not a weights file, or \w+$"),
        ("w.pth", lambda good: b"", "is empty$"),
        (
            "w.pth",
            lambda good: b"edelweiss",
            "not a weights file: neither torch's zip nor its pickle",
        ),
        ("w.safetensors", lambda good: good, "not a safetensors file, or truncated"),
        ("w.safetensors", lambda good: b"", "is empty$"),
        ("w.onnx", lambda good: good, "expected a file that ends in .bin, .ckpt, .pt, .pth"),
    ],
)
def test_files_that_are_no_weights(
    name: str,
    content: Callable[[bytes], bytes],
    problem: str,
    clips: dict[str, open_clip.CustomTextCLIP],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    good = stored(lettered(clips), tmp_path / "good.pth").read_bytes()
    path.write_bytes(content(good))
    refused(DataError, f"^{path}: {problem}", [path], tmp_path, quick_gelu=True)
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("thing", "code"),
    [(Harmful(), "getattr|pathlib"), (Namespace(lr=1.0), "argparse.Namespace")],
)
def test_code_in_a_pickle_is_named_and_never_run(
    thing: object,
    code: str,
    clips: dict[str, open_clip.CustomTextCLIP],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = stored(lettered(clips), tmp_path / "w.pth", opts=thing)
    problem = f"needs the code .*({code}).* to be read, which is refused; save its state_dict"
    refused(DataError, problem, [path], tmp_path, quick_gelu=True)
    assert not Path("ran").exists()


def test_torchscript_is_code_too(tmp_path: Path) -> None:
    path = stored({"a": torch.zeros(1)}, tmp_path / "w.pt")
    with zipfile.ZipFile(path, "a") as archive:  # what tells such an archive from weights
        archive.writestr("w/constants.pkl", b"")
    refused(DataError, "TorchScript archive is code", [path], tmp_path, quick_gelu=True)


def test_a_folder_that_is_there_is_kept(
    clips: dict[str, open_clip.CustomTextCLIP], tmp_path: Path
) -> None:
    path = stored(lettered(clips), tmp_path / "w.pth")
    (tmp_path / "run").mkdir()
    refused(DataError, "run: exists; choose another folder", [path], tmp_path, quick_gelu=True)


def test_a_trainers_whole_state_is_read_without_its_optimiser(
    clips: dict[str, open_clip.CustomTextCLIP], tmp_path: Path
) -> None:
    model = clips["drone"]
    optimizer = torch.optim.Adam(model.parameters())
    total = torch.stack([weight.sum() for weight in model.parameters()]).sum()
    torch.autograd.backward(total)
    optimizer.step()
    path = tmp_path / "w.pth"
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, path)
    tensors = read_tensors([path])
    assert {name.partition(".")[0] for name in tensors} == {"model"}
    towers = find_towers(tensors)
    assert [tower.title for tower in towers] == ["model.visual", "model.text"]
    assert left_over(tensors, towers) == []


@given(
    view=st.sampled_from(list(View)),
    before=st.sampled_from(["", "module.", "model.net.", "state_dict.module."]),
    form=st.sampled_from(
        ["{}", "{}_encoder", "encoder_{}", "{}Encoder", "E_{}", "encoders.{}.net"]
    ),
    data=st.data(),
)
def test_a_prefix_says_its_view(view: View, before: str, form: str, data: st.DataObject) -> None:
    words = {
        View.DRONE: ["drone", "uav", "d"],
        View.SATELLITE: ["satellite", "sat", "s"],
        View.STREET: ["street", "ground", "panorama", "pano", "p"],
    }
    word = data.draw(st.sampled_from(words[view]))
    assert view_of(f"{before}{form.format(word)}.visual.") is view


@pytest.mark.parametrize(
    "prefix", ["", "visual.", "module.model_1.", "drone_satellite.", "saturn."]
)
def test_a_prefix_that_says_none_or_two(prefix: str) -> None:
    assert view_of(prefix) is None


def test_imported_weights_are_exported_and_answer_alike(
    clips: dict[str, open_clip.CustomTextCLIP],
    tag: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = stored(NAMINGS["nested"](clips), tmp_path / "best_net.pth")
    words = ["import", path, "-o", tmp_path / "run", "--model", tag, "--gsd-m", 0.5]
    caplog.set_level(logging.INFO)
    assert main([str(word) for word in words]) == 0
    assert {record.name.partition(".")[0] for record in caplog.records} == {"geobridge"}
    assert capsys.readouterr().out.strip() == str(tmp_path / "run")
    out = export(tmp_path / "run", tmp_path / "onnx")
    record = read_record(out)
    assert (record.dimension, record.footprint_m, record.gsd_m) == (DIMENSION, 150.0, 0.5)
    assert len(record.encoders) == 6
    model = loaded(tmp_path / "run")
    with torch.no_grad():
        for view in View:
            engine = OnnxRuntimeEngine(out / record.encoder(view).file)
            flown = torch.from_numpy(engine.run(pictures().numpy()))
            trained = model.encode_image(view, pictures())
            torch.testing.assert_close(flown, trained, rtol=0, atol=1e-5)


def test_the_command_complains_in_one_line(tmp_path: Path, complaint: Callable[..., str]) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(b"nothing")
    line = complaint("import", path, "-o", tmp_path / "run", "--quick-gelu")
    assert f"{path}: not a weights file" in line
    assert f"{path}: not a weights file" in complaint("import", path, "-o", tmp_path / "run")
    line = complaint("import", path, "-o", tmp_path / "run", "--model", "ViT-Z-99")
    assert "--model ViT-Z-99: open_clip has no such model" in line
    assert [each.name for each in tmp_path.iterdir()] == ["w.pth"]
