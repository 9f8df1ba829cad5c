from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from geobridge.onboard.config import load, validate
from geobridge.onboard.errors import ConfigError
from geobridge.onboard.views import View
from geobridge.training import config as configuration
from geobridge.training.config import TrainConfig
from geobridge.training.config_data import AreaConfig
from geobridge.training.config_model import ModelConfig
from geobridge.training.runs.snapshot import as_toml

RECIPES = Path(configuration.__file__).parent / "configs"

CUSTOM = {
    "vision": {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text": {"layers": 1, "width": 16, "heads": 1},
}


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"views": []}, "one to three different views"),
        ({"views": ["drone", "drone"]}, "one to three different views"),
        ({"vision": {}}, r"\[model.vision\]"),
        ({"text": None}, r"\[model.text\]"),
        ({"pretrained": "openai"}, "pretrained"),
        ({"name": "ViT-B-32", "embed_dim": 64}, "embed_dim"),
        ({"name": "ViT-B-32", "text": CUSTOM["text"]}, "vision"),
        ({"name": "ViT-B-32", "quick_gelu": True}, "quick_gelu"),
        ({"name": "hf-hub:a/b", "pretrained": "openai"}, "leave pretrained empty"),
    ],
)
def test_no_key_is_silently_ignored(keys: dict[str, Any], problem: str) -> None:
    tree = keys if "name" in keys else CUSTOM | keys
    with pytest.raises(ConfigError, match=problem):
        validate(ModelConfig, tree, "model")


def test_lists_stand_for_tuples_in_files_and_overrides(area_config: Path) -> None:
    text = area_config.read_text().replace("[optim]", "height_agl_m = [80, 90.5]\n[optim]")
    area_config.write_text(text)
    overrides = ["preprocess.fill=[1, 2, 3]", 'model.views=["satellite", "drone"]']
    settings = load(TrainConfig, area_config, [*overrides, "data.hfov_deg=[50, 60]"])
    assert settings.model.view_list == (View.SATELLITE, View.DRONE)
    assert settings.preprocess.spec.fill == (1, 2, 3)
    data = settings.data.model_dump()
    assert (data["height_agl_m"], data["hfov_deg"]) == ((80.0, 90.5), (50.0, 60.0))
    again = TrainConfig.model_validate(json.loads(settings.model_dump_json()))
    assert again == settings


@pytest.mark.parametrize(
    "override",
    [
        "data.height_agl_m=[250, 100]",
        "data.height_agl_m=[0, 100]",
        "data.height_agl_m=[100]",
        "data.hfov_deg=[60, 180]",
        "data.tilt_deg=80",
        "data.footprint_m=nan",
        "preprocess.fill=[1, 2]",
        'preprocess.std=[0.2, 0.2, "a"]',
        'model.views=["drone", "sattelite"]',
    ],
)
def test_a_wrong_value_is_named_by_its_key(override: str, area_config: Path) -> None:
    key = override.partition("=")[0].partition(".")[2]
    with pytest.raises(ConfigError, match=rf"^command line: .*{key}") as caught:
        load(TrainConfig, area_config, [override])
    assert "\n" not in str(caught.value)


def test_lengths_that_are_not_given_go_by_the_footprint() -> None:
    area = {"source": "area", "raster": "map.tif"}
    usual = validate(AreaConfig, area, "data")
    assert usual == validate(AreaConfig, area | {"footprint_m": 150.0}, "data")
    small = validate(AreaConfig, area | {"footprint_m": 30, "gsd_m": 0.5}, "data")
    assert (small.gsd_m, small.min_separation_m, small.position_jitter_m) == (0.5, 12.0, 3.0)
    assert small.height_agl_m == (20.0, 50.0)
    again = AreaConfig.model_validate(json.loads(small.model_dump_json()))
    assert again == small


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_snapshot_says_what_the_recipe_said(path: Path, tmp_path: Path) -> None:
    keys = ["objective.edge_weights={drone-satellite = 0.5}", 'run.folder="Läufe/\\"a\\"\\\\b"']
    settings = load(TrainConfig, path, keys)
    assert settings.run.folder == 'Läufe/"a"\\b'
    written = tmp_path / "config.toml"
    written.write_text(as_toml(settings), encoding="utf-8")
    assert load(TrainConfig, written) == settings
