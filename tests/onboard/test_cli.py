from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from geobridge.onboard import cli
from geobridge.onboard.commands import COMMANDS, Command
from geobridge.onboard.errors import BundleError

GEOBRIDGE = Path(sys.executable).with_name("geobridge")


def geobridge(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(GEOBRIDGE), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


def python(code: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


def is_one_line(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text


def test_help_names_every_command(tmp_path: Path) -> None:
    done = geobridge("--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.help)}$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--help"])
    assert end.value.code == 0
    assert COMMANDS[name].help in capsys.readouterr().out


def test_version(tmp_path: Path) -> None:
    done = geobridge("--version", cwd=tmp_path)
    assert done.stdout == f"geobridge {importlib.metadata.version('geobridge-uav')}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["trian", "x"], "geobridge: argument COMMAND: invalid choice: 'trian'"),
        (["dataset", "rendr"], "geobridge dataset: argument COMMAND: invalid choice: 'rendr'"),
        (["--vers"], "geobridge: the following arguments are required: COMMAND"),
        (["verify"], "geobridge verify: the following arguments are required: BUNDLE"),
        (["verify", "nowhere"], "argument BUNDLE: nowhere: no such file or folder"),
        (["train", "nowhere.toml"], "argument CONFIG: nowhere.toml: no such file or folder"),
        (["verify", ".", "--fast"], "geobridge verify: unrecognized arguments: --fast"),
        (["verify", ".", "-v", "-q"], "argument -q: not allowed with argument -v"),
        (["locate", ".", ".", "--heading-deg", "nan"], "nan: expected a number"),
        (["log", ".", "--shift-s", "1e200"], "1e200: expected seconds, at most a hundred years"),
        (["replay", ".", "--video-at", "-1e308"], "-1e308: expected seconds, at most a hundred"),
        (["locate", ".", ".", "--ground-width-m", "-3"], "-3: expected a number above 0"),
        (["locate", ".", ".", "--top", "0"], "0: expected a whole number from 1"),
        (["locate", ".", ".", "--to", "3"], "unrecognized arguments: --to"),
        (["export", ".", "-o", "x", "--precision", "int4"], "invalid choice: 'int4'"),
        (
            ["rehearse", ".", "-o", "x", "--area", "-1.2,50,1"],
            "-1.2,50,1: expected west,south,east",
        ),
        (["rehearse", ".", "-o", "x", "--cloud-cover", "0.5"], "0.5: expected LOW:HIGH"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    done = geobridge(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert is_one_line(done.stderr)
    assert complaint in done.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [([], "  dataset render  render views to train on"), (["dataset"], "  render")],
)
def test_without_a_command_the_help_lists_them(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, code in (([*words, "--help"], 0), (words, 2)):
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        assert end.value.code == code
        said = capsys.readouterr()
        text, silent = (said.err, said.out) if code else (said.out, said.err)
        assert silent == ""
        assert line in text
        assert "COMMAND --help tells the arguments of a command." in text


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("dataset render", "-o"),
        ("train", "CONFIG"),
        ("export", "CHECKPOINT, -o"),
        ("pack", "REFERENCES, --encoders, -o"),
        ("keys new", "-o"),
        ("sign", "BUNDLE, --key"),
        ("verify", "BUNDLE"),
        ("locate", "BUNDLE"),
        ("rehearse", "BUNDLE, -o"),
        ("calibrate", "BUNDLE, REPLAY, -o"),
        ("replay", "LOG | key=value, --bundle, -o"),
        ("fly", "ROUTE"),
        ("run", "CONFIG"),
    ],
)
def test_a_command_alone_names_all_that_it_needs(
    name: str, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(name.split())
    assert end.value.code == 2
    line = f"geobridge {name}: the following arguments are required: {missing} (see"
    assert capsys.readouterr().err.startswith(line)


def test_help_loads_nothing_that_is_slow(tmp_path: Path) -> None:
    code = (
        "import sys; from geobridge.onboard.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print('loaded:', *sorted(m for m in sys.modules if '.' not in m))"
    )
    loaded = python(code, cwd=tmp_path).stdout.partition("loaded:")[2].split()
    assert "argparse" in loaded
    assert not {"torch", "numba", "cv2", "numpy", "pydantic", "importlib_metadata"} & set(loaded)


@pytest.mark.parametrize("name", ["fly", "rehearse", "dataset render"])
def test_long_help_tells_defaults_files_and_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main([*name.split(), "--help"])
    text = capsys.readouterr().out
    assert re.search(rf"^example:\n  geobridge {name} .+", text, re.MULTILINE)
    assert re.search(r"^writes (FOLDER|OUT)/", text, re.MULTILINE)
    parser = cli.Parser()
    COMMANDS[name].arguments(parser)
    for action in parser._actions:
        if action.option_strings and action.nargs != 0 and not action.required:
            told = action.help or ""
            assert action.default in (None, ()) or "default" in told, action.option_strings


def test_the_help_names_the_days_that_there_are() -> None:
    pytest.importorskip("numba")
    from geobridge.export.flights.options import DAYS
    from geobridge.onboard import commands_fly

    assert set(re.findall(r"\w+_\w+|haze|rain|night", commands_fly.DAYS)) == set(DAYS)


def test_a_folder_that_is_no_bundle_is_one_line(tmp_path: Path) -> None:
    done = geobridge("verify", tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert is_one_line(done.stderr)
    assert done.stderr.startswith("geobridge verify: ")
    assert "manifest.json" in done.stderr


def test_training_without_torch_names_the_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from geobridge.onboard.cli import main;"
        " sys.exit(main(['train', 'tiny', 'data.folder=.', 'run.folder=run']))"
    )
    done = python(code, cwd=tmp_path)
    assert done.returncode == 2
    assert is_one_line(done.stderr)
    assert 'pip install "geobridge-uav[train]"' in done.stderr


def test_a_reader_that_stops_early_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [GEOBRIDGE, "doctor"], stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path, timeout=60
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_interrupt(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(
        "import time\ndef sleep():\n    print('asleep', flush=True)\n    time.sleep(60)\n"
    )
    code = (
        "import sys; from geobridge.onboard import cli, commands;"
        "commands.COMMANDS['sleep'] = commands.Command('', lambda parser: None, 'sleeper:sleep');"
        "sys.exit(cli.main(['sleep']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"asleep\n"
        child.send_signal(signal.SIGINT)
        _, complaint = child.communicate(timeout=30)
    assert (child.returncode, complaint) == (130, b"geobridge sleep: interrupted\n")


Fake = Callable[..., None]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Puts a function behind a command."""

    def put(function: Callable[..., object], command: str = "doctor") -> None:
        module = ModuleType("fake_target")
        module.function = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "fake_target", module)
        entry = COMMANDS[command]
        replaced = Command(entry.help, entry.arguments, "fake_target:function")
        monkeypatch.setitem(COMMANDS, command, replaced)

    return put


def raising(error: BaseException) -> Callable[[], object]:
    def function() -> object:
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (BundleError("b/manifest.json:\nbroken"), 2, "b/manifest.json: broken"),
        (
            ImportError("No module named 'rasterio'", name="rasterio.io"),
            2,
            "No module named 'rasterio'; it comes with: pip install \"geobridge-uav[train]\"",
        ),
        (FileNotFoundError(2, "No such file or directory", "x.csv"), 1, "x.csv: No such file or"),
        (PermissionError(13, "Permission denied", "out"), 1, "out: Permission denied"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_expected_errors_are_one_line(
    error: BaseException, code: int, line: str, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(raising(error))
    assert cli.main(["doctor"]) == code
    out, complaint = capsys.readouterr()
    assert out == ""
    assert is_one_line(complaint)
    assert complaint.startswith(f"geobridge doctor: {line}")


@pytest.mark.parametrize("error", [ImportError("ours", name="geobridge.gone"), KeyError("bug")])
def test_a_bug_of_ours_is_not_hidden(error: Exception, fake: Fake) -> None:
    fake(raising(error))
    with pytest.raises(type(error)):
        cli.main(["doctor"])


def test_a_path_is_printed_as_it_is(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake(lambda: Path("runs/a b"))
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr() == ("runs/a b\n", "")


def test_nothing_is_printed_of_nothing(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake(lambda: None)
    assert cli.main(["doctor", "--json"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_nested_dict_as_table_and_as_json(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    result = {
        "frames": 3,
        "error_m": {"p50": 4.25, "worst": None},
        "lat_deg": 52.1,
        "at": Path("a"),
    }
    fake(lambda: result)
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "frames         3",
        "error_m.p50    4.250",
        "error_m.worst  -",
        "lat_deg        52.1000000",
        "at             a",
    ]
    assert cli.main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == result | {"at": "a"}


def test_rows_as_table(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake(lambda: [{"place": 12, "score": 0.5}, {"place": 3, "score": None}])
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out == "place  score\n12     0.500\n3      -\n"
    fake(list)
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out == "nothing found\n"


def test_nan_never_becomes_json(fake: Fake) -> None:
    fake(lambda: {"error_m": float("nan")})
    with pytest.raises(ValueError, match="JSON compliant"):
        cli.main(["doctor", "--json"])


def test_overrides_may_stand_anywhere(fake: Fake, tmp_path: Path) -> None:
    given: dict[str, object] = {}
    fake(given.update, "replay")
    (tmp_path / "t.csv").touch()
    required = ["--telemetry", f"{tmp_path}/t.csv", "--bundle", str(tmp_path), "-o", "out"]
    for arguments in (
        ["film.mp4", "a.b=1", "c=2", *required],
        ["film.mp4", *required, "a.b=1", "c=2"],
        [*required, "film.mp4", "a.b=1", "--rate-hz", "5", "c=2"],
    ):
        assert cli.main(["replay", *arguments]) == 0
        assert given["logs"] == ["film.mp4"]
        assert given["overrides"] == ["a.b=1", "c=2"]
        assert given["out"] == Path("out")
        assert given["truth"] == ()


@pytest.mark.parametrize("given", ["-33.92,18.42:-33.93,18.43", "-.5,1:2,3"])
def test_the_southern_hemisphere_is_no_option(given: str, fake: Fake) -> None:
    flown: dict[str, object] = {}
    fake(flown.update, "fly")
    assert cli.main(["fly", given, "-o", "x", "--wind-from-deg", "-30"]) == 0
    assert flown["route"] == given
    assert flown["wind_from_deg"] == -30.0


def test_the_box_of_an_area_may_begin_with_a_minus(fake: Fake, tmp_path: Path) -> None:
    rehearsed: dict[str, object] = {}
    fake(rehearsed.update, "rehearse")
    assert cli.main(["rehearse", str(tmp_path), "-o", "x", "--area", "-1.25,50,-1,51"]) == 0
    assert rehearsed["area"] == (-1.25, 50.0, -1.0, 51.0)
    assert rehearsed["overrides"] == []


def test_repeated_options_replace_the_default(fake: Fake, tmp_path: Path) -> None:
    given: dict[str, object] = {}
    fake(given.update, "export")
    arguments = ["export", str(tmp_path), "-o", "out"]
    assert cli.main(arguments) == 0
    assert given == {
        "checkpoint": tmp_path,
        "out": Path("out"),
        "precisions": ("fp32", "fp16"),
        "views": (),
        "dimension": None,
        "opset": 20,
        "fp32_scores": False,
        "report": False,
        "gallery": None,
    }
    assert cli.main([*arguments, "--precision", "fp16"]) == 0
    assert given["precisions"] == ("fp16",)
    assert cli.main([*arguments, "--view", "drone", "--view", "street"]) == 0
    assert given["views"] == ("drone", "street")


@pytest.mark.parametrize("name", COMMANDS)
def test_arguments_are_the_parameters_of_the_target(name: str) -> None:
    required, optional = parameters(COMMANDS[name].target)
    parser = ArgumentParser()
    COMMANDS[name].arguments(parser)
    ours = {action.dest for action in parser._actions} - {"help", "as_json"}
    assert required <= ours <= required | optional


def parameters(target: str) -> tuple[set[str], set[str]]:
    """Names without and with a default; read, not imported, for torch takes seconds."""
    module, _, name = target.partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None, f"{module} does not exist"
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text())
    [found] = [f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == name]
    assert found.args.kwarg is None
    assert not found.args.posonlyargs
    plain = [argument.arg for argument in found.args.args]
    with_default = set(plain[len(plain) - len(found.args.defaults) :])
    for argument, default in zip(found.args.kwonlyargs, found.args.kw_defaults, strict=True):
        plain.append(argument.arg)
        with_default |= {argument.arg} if default is not None else set()
    return set(plain) - with_default, with_default


def test_extras_that_the_command_line_names_bring_their_modules() -> None:
    requirements = importlib.metadata.requires("geobridge-uav") or []
    providers = importlib.metadata.packages_distributions()
    for module, extra in cli.EXTRAS.items():
        for distribution in providers.get(module, []):
            name = re.sub(r"[-_.]+", "-", distribution)
            wanted = re.compile(rf"{name}\W.*; extra == \W{extra}\W", re.IGNORECASE)
            assert any(map(wanted.match, requirements)), module
