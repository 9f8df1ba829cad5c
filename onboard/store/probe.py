"""A bundle is tried before it may fly, in a process of its own: a crash there is a refusal.

    python -m geobridge.onboard.store.probe FOLDER ENGINE PRECISION PLANS

hashes every file, loads index, encoder, imagery and terrain, and lets the encoder answer what it is
known to answer, under limits of memory, processor time, and files. Exit code 0, or 2 with the
reason as the last line of stderr.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from ..errors import BundleError, GeobridgeError

MEMORY_BYTES = 8 << 30
CPU_S, WALL_S = 600, 900
FILES = 512
NO_FILE_BYTES = 64 << 20
"""A probe writes no files; profiles of an engine on a GPU are small."""
KEPT_CHARS = 300
_KEPT = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")


def probe(folder: Path, engine: str, precision: str, plans: str | None = None) -> None:
    """Try a bundle out in a process of its own, with the TensorRT plans that flight takes.

    Raises:
        BundleError: why it must not fly; also where the process crashed, or did not come to an end.
    """
    command = [sys.executable, "-m", __name__, str(folder), engine, precision, plans or ""]
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=WALL_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise BundleError(f"{folder}: probed for {WALL_S} s without an end") from None
    if done.returncode == 0:
        return
    if done.returncode < 0:
        raise BundleError(f"{folder}: the probe ended by {_signal(-done.returncode)}")
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    raise BundleError(lines[-1][-KEPT_CHARS:] if lines else f"{folder}: the probe failed")


def try_out(folder: Path, engine: str, precision: str, plans: str | None = None) -> None:
    """All that flight loads, and the known answers.

    Raises:
        GeobridgeError: the first thing that is wrong.
    """
    from ..bundle import Bundle
    from ..engines.engine import EngineSettings
    from ..pairing import check_pairing
    from ..retrieval.encoder import Encoder
    from ..retrieval.imagery import ReferenceImagery, check_tiles
    from ..retrieval.index import Index
    from ..terrain import Terrain
    from ..views import View

    bundle = Bundle.open(folder)
    index = Index.open(bundle)
    settings = EngineSettings(plans=Path(plans) if plans else None)
    Encoder.open(bundle, View.DRONE, engine, precision, settings)
    if engine.startswith("onnxruntime"):  # TensorRT has plans for the encoder that flies alone
        check_pairing(bundle, index, engine)
    ReferenceImagery.open(bundle)
    check_tiles(bundle)
    Terrain.open(bundle)


def _limit(engine: str) -> None:
    limits = {
        resource.RLIMIT_CPU: CPU_S,
        resource.RLIMIT_NOFILE: FILES,
        resource.RLIMIT_FSIZE: NO_FILE_BYTES,
        resource.RLIMIT_CORE: 0,
    }
    if engine == "onnxruntime":  # CUDA reserves addresses without end
        limits[resource.RLIMIT_AS] = MEMORY_BYTES
    for kind, wanted in limits.items():
        hard = resource.getrlimit(kind)[1]
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (limit, limit))


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _main(folder: str, engine: str, precision: str, plans: str) -> int:
    _limit(engine)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        try_out(Path(folder), engine, precision, plans)
    except (GeobridgeError, MemoryError, OSError) as error:
        print(" ".join(f"{error or type(error).__name__}".split()), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
