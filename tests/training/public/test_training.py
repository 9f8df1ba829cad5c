"""A few steps of training on every public data set, by the set's own rules, then its figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

from geobridge.onboard.cli import main
from geobridge.onboard.errors import ConfigError
from geobridge.training.config_data import TriplesConfig
from geobridge.training.recipes import recipe, settings_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Write = Callable[[str], Path]

SETS = sorted(path.stem for path in (recipe(Path("tiny")).parent / "sets").glob("*.toml"))


def test_a_recipe_and_a_data_set_are_one_configuration() -> None:
    assert set(SETS) == {
        *("captions", "cvact", "cvusa", "denseuav", "gta-uav", "sues200"),
        *("uav-visloc", "university1652", "vigor"),
    }
    for name in ("finetune_last3", "full"):
        for data_set in SETS:
            text = (recipe(Path("tiny")).parent / "sets" / f"{data_set}.toml").read_text()
            told, found = tomllib.loads(text), settings_of(Path(f"{name}+{data_set}"))
            for table, keys in told.items():
                for key, value in keys.items():
                    got = getattr(getattr(found, table), key)
                    assert (list(got) if isinstance(got, tuple) else got) == value
            assert found.optim.trained_blocks == (3 if name == "finetune_last3" else 0)
    changed = settings_of(Path("full+vigor"), ["data.variant=cross"]).data
    assert changed.model_dump()["variant"] == "cross"


@pytest.mark.parametrize("data_set", SETS)
@pytest.mark.parametrize("name", sorted(p.stem for p in recipe(Path("tiny")).parent.glob("*.toml")))
def test_any_recipe_goes_with_any_data_set(name: str, data_set: str) -> None:
    keys, whole = ["data.folder=there"], Path(f"{name}+{data_set}")
    if data_set == "captions" and name in ("area", "distill"):
        with pytest.raises(ConfigError, match=r"needs a \[model.text\] table"):
            settings_of(whole, keys)
        keys.append("model.text={layers=1, width=16, heads=1}")
    found, alone = settings_of(whole, keys), settings_of(Path(name))
    assert isinstance(found.data, TriplesConfig)
    assert found.data.folder == "there"
    assert (found.optim.steps, found.optim.epochs > 0) == (0, True)
    for key in ("batch_size", "learning_rate", "trained_blocks"):
        assert getattr(found.optim, key) == getattr(alone.optim, key)
    again = settings_of(whole, [*keys, "optim.epochs=0", "optim.steps=7"])
    assert again.optim.steps == 7


def test_an_unknown_data_set_is_told() -> None:
    with pytest.raises(ConfigError, match="vgor: no such file, and no data set of that name: capt"):
        settings_of(Path("full+vgor"))
    with pytest.raises(ConfigError, match="ful: no such file, and no recipe of that name"):
        settings_of(Path("ful+vigor"))


@pytest.mark.parametrize("name", [*SETS, "geoloc", "own"])
def test_check_train_evaluate(
    name: str, public_set: Write, triples_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, run = public_set(name), triples_config.parent / "run"
    assert main(["dataset", "check", str(folder), "-q"]) == 0
    config = f"{triples_config}+{name}" if name in SETS else str(triples_config)
    tower = "model.vision={layers=1, width=16, head_width=8, patch_size=8}"
    changed = [tower, "optim.epochs=0", "optim.steps=2", "optim.batch_size=4", "optim.workers=0"]
    if name == "own":
        changed += ['model.views=["drone", "satellite"]', "model.text_tower=false"]
    words = ["train", config, f"data.folder={folder}", f"run.folder={run}", *changed, "-q"]
    assert main(words) == 0
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert all(json.loads(line)["loss"] > 0 for line in lines if "loss" in json.loads(line))
    capsys.readouterr()
    out = run.parent / "figures"
    assert (
        main(["evaluate", str(run), "--dataset", str(folder), "-o", str(out), "--json", "-q"]) == 0
    )
    rows = json.loads(capsys.readouterr().out)
    assert rows
    assert {row["dataset"] for row in rows} == {name}
