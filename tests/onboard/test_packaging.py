"""What is laid on the computer that flies: files, a unit that systemd reads, a configuration."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from geobridge.onboard.config import RunConfig, load
from geobridge.onboard.daemon.daemon import LIMITS_S

PACKAGING = Path(__file__).parents[2] / "packaging"
ANALYZE = shutil.which("systemd-analyze")


def installed(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(PACKAGING / "install"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_files_are_laid_and_a_changed_configuration_is_kept(tmp_path: Path) -> None:
    done = installed("--root", str(tmp_path))
    assert done.returncode == 0, done.stderr
    for name in (
        "etc/systemd/system/geobridge.service",
        "etc/systemd/journald@geobridge.conf",
        "etc/udev/rules.d/70-geobridge.rules",
    ):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o644
    config = tmp_path / "etc/geobridge/onboard.toml"
    assert config.stat().st_mode & 0o777 == 0o640
    config.write_text("mine")
    assert installed("--root", str(tmp_path)).returncode == 0
    assert config.read_text() == "mine"


@pytest.mark.parametrize("words", [["--what"], ["--root"], ["--extra", "tpu", "--root", "x"]])
def test_wrong_words_are_told_and_nothing_is_laid(words: list[str], tmp_path: Path) -> None:
    done = installed(*words)
    assert done.returncode == 2
    assert done.stderr
    assert not done.stdout


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_our_wheel_is_told_before_anything_is_done(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    root = tmp_path / "root"
    done = installed("--wheels", str(tmp_path / name), "--root", str(root))
    assert done.returncode == 2
    assert re.fullmatch(rf".*{name}: no folder with a wheel of geobridge-uav.*\n", done.stderr)
    assert not root.exists()


def test_help_is_no_mistake() -> None:
    done = installed("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--wheels FOLDER" in done.stdout


def test_the_configuration_that_comes_with_it_is_one() -> None:
    config = load(RunConfig, PACKAGING / "onboard.toml")
    assert config.link.address == "/dev/ttyTHS1"
    assert config.record.frames == "thumbnails"


def test_the_watchdog_waits_longer_than_any_loop_may_take() -> None:

    unit = (PACKAGING / "geobridge.service").read_text()
    [seconds] = re.findall(r"^WatchdogSec=(\d+)$", unit, re.MULTILINE)
    assert int(seconds) > max(LIMITS_S.values())
    assert "\nType=notify\n" in unit


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze on this machine")
def test_the_unit_is_well_confined(tmp_path: Path) -> None:
    unit = tmp_path / "geobridge.service"
    text = (PACKAGING / "geobridge.service").read_text()
    unit.write_text(text.replace("/opt/geobridge/bin/geobridge", "/bin/true"))
    judged = subprocess.run(
        [str(ANALYZE), "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert judged.returncode == 0, judged.stdout[-600:] + judged.stderr
    verified = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60
    )
    assert "Unknown" not in verified.stderr, verified.stderr
