from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
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
def test_a_script_says_how_it_is_used(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / name, "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {name} ")
    assert list(tmp_path.iterdir()) == []


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
