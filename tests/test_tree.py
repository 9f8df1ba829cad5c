from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]

ABSENT = ["matplotlib", "numba", "onnx", "onnxruntime", "onnxscript", "open_clip", "pandas", "PIL"]
ABSENT += ["pyulog", "rasterio", "tensorrt", "torch", "torchvision"]

WITHOUT_THEM = f"import sys; sys.modules.update(dict.fromkeys({ABSENT}))"

IMPORT_ALL = (
    WITHOUT_THEM
    + """
import importlib, pathlib, pkgutil
import geobridge.onboard as onboard
[root] = onboard.__path__
walked = [m.name for m in pkgutil.walk_packages([root], "geobridge.onboard.")]
for name in walked:
    try:
        importlib.import_module(name)
    except ImportError as error:  # the rendered world needs numba, and nothing that flies needs it
        assert error.name == "numba" and ".simulation." in name, name
assert len(walked) == sum(1 for _ in pathlib.Path(root).rglob("*.py")) - 1, walked
"""
)


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120
    )


def test_the_list_of_packages_is_the_tree() -> None:
    folders = {
        file.parent.relative_to(ROOT)
        for top in ("export", "onboard", "training")
        for file in (ROOT / top).rglob("*.py")
    }
    expected = sorted(".".join(("geobridge", *folder.parts)) for folder in folders)
    assert pyproject()["tool"]["setuptools"]["packages"] == expected
    assert [folder for folder in folders if not (ROOT / folder / "__init__.py").exists()] == []


def test_all_that_flies_imports_without_the_extras(tmp_path: Path) -> None:
    done = python(IMPORT_ALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_help_works_without_the_extras(tmp_path: Path) -> None:
    code = f"{WITHOUT_THEM}; from geobridge.onboard.cli import main; main(['--help'])"
    done = python(code, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "replay" in done.stdout


def test_init_files_import_nothing() -> None:
    for top in ("export", "onboard", "training"):
        for file in (ROOT / top).rglob("__init__.py"):
            assert "import " not in file.read_text().rpartition('"""')[2], file


def test_requirements_are_locked_and_name_no_index() -> None:
    for name in ("dev.txt", "flight.txt"):
        lines = (ROOT / "requirements" / name).read_text().splitlines()
        pins = [line for line in lines if line and not line.startswith((" ", "#"))]
        assert len(pins) > 10
        assert all("==" in pin for pin in pins)
        assert not any("://" in line or line.startswith(("-i", "--index")) for line in lines)
