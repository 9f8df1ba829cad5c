from __future__ import annotations

import ast
import importlib
import os
import runpy
import sys
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "scripts"


def is_python(path: Path) -> bool:
    return os.access(path, os.X_OK) and "python" in path.read_text().partition("\n")[0]


SCRIPTS = sorted(path.name for path in FOLDER.iterdir() if path.is_file() and is_python(path))

pytestmark = pytest.mark.slow


def test_there_are_scripts() -> None:
    assert "bench_onboard" in SCRIPTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_all_that_a_script_imports_is_there(name: str) -> None:
    """Also what it imports only when it comes to it."""
    for node in ast.walk(ast.parse((FOLDER / name).read_text())):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("geobridge."):
            continue
        module = importlib.import_module(str(node.module))
        for each in node.names:
            path = f"{node.module}.{each.name}"
            assert hasattr(module, each.name) or find_spec(path), f"{name}: {path}"


def forked(name: str, word: str, folder: Path) -> tuple[int, str]:
    """Exit code and output of a script in a child that has its libraries already: another
    interpreter would read torch and its like anew for every script.
    """
    told = folder / "told"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads, at rest here
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), told.read_text()
    code = 1
    try:
        with told.open("w") as stream, redirect_stdout(stream), redirect_stderr(stream):
            code = run_here(name, word, folder)
    finally:
        os._exit(code)


def run_here(name: str, word: str, folder: Path) -> int:
    os.chdir(folder)
    sys.argv, sys.path = [str(FOLDER / name), word], [str(FOLDER), *sys.path]
    try:
        runpy.run_path(str(FOLDER / name), run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    return 1


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_how_it_is_used(name: str, tmp_path: Path) -> None:
    code, told = forked(name, "--help", tmp_path)
    assert code == 0, told
    assert told.startswith(f"usage: {name} ")
    assert [path.name for path in tmp_path.iterdir()] == ["told"]
