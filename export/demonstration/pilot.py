"""The demo's pilot: writes onboard.toml, and starts `geobridge run` with it in its own process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geobridge.onboard.errors import LinkError

from ..flights.disk import camera_toml
from ..flights.mission import Mission
from ..flights.wires import Wires

READY_S, END_S = 60.0, 10.0
MIN_SCORE = 0.05
"""Of encoders trained for minutes, whose scores are low everywhere: what their candidates are worth
is left to the comparison with the map, whose thresholds stay as they are."""
_RUN = "from geobridge.onboard.cli import main; raise SystemExit(main())"


def onboard_toml(
    mission: Mission, wires: Wires, bundle: Path, trusted_key: Path, record: Path
) -> str:
    """What is to be flown, through which camera, and who is to be told."""
    lines = [
        f"bundle = {_text(bundle)}",
        f"trusted_keys = [{_text(trusted_key)}]",
        f"record.folder = {_text(record)}",
        *wires.onboard_toml(),
        f"source.process_rate_hz = {mission.shutter.rate_hz!r}",
        f"localizer.gate.min_score = {MIN_SCORE}",
        *camera_toml(mission.camera),
    ]
    return "".join(f"{line}\n" for line in lines)


def _text(path: Path) -> str:
    return json.dumps(str(path.resolve()))  # TOML's basic strings are JSON's


@contextmanager
def daemon(config: Path, log: Path) -> Iterator[None]:
    """`geobridge run CONFIG`, from its first word that it flies to its end.

    Raises:
        LinkError: it did not start; names its log.
    """
    with log.open("w") as said:
        process = subprocess.Popen([sys.executable, "-c", _RUN, "run", str(config)], stderr=said)
    try:
        _wait_until_ready(process, log)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    end_s = time.monotonic() + READY_S
    while "flying" not in log.read_text():
        if process.poll() is not None or time.monotonic() > end_s:
            said = log.read_text().splitlines()[-1:] or ["it said nothing"]
            raise LinkError(f"{log}: the daemon did not start: {said[0]}")
        time.sleep(0.05)
