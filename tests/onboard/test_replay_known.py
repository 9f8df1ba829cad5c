"""A replay that was stopped goes on: what it knew is not computed again, and nothing differs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.config import VerifyConfig
from geobridge.onboard.errors import EngineError
from geobridge.onboard.localization.alignment import Alignment
from geobridge.onboard.localization.pose import Pose
from geobridge.onboard.localization.rectify import Patch
from geobridge.onboard.replay.known import Known, known_verify
from geobridge.onboard.replay.localize import WORK
from geobridge.onboard.replay.localize import localize as really_localize
from geobridge.onboard.replay.replay import replay
from geobridge.onboard.retrieval.encoder import Encoder

GEOBRIDGE = str(Path(sys.executable).with_name("geobridge"))


@contextmanager
def opened(path: Path, work: str = "work") -> Iterator[Known]:
    known = Known(path, work, lambda took_ms: None)
    try:
        yield known
    finally:
        known.close()


def ask_all(known: Known, answers: list[bytes]) -> tuple[list[bytes], int]:
    """What is answered to questions 0, 1 and so on, and how many had to be computed."""
    computed: list[int] = []

    def compute(number: int) -> bytes:
        computed.append(number)
        return answers[number]

    found = [
        known.ask(number.to_bytes(16, "big"), partial(compute, number), bytes, bytes)
        for number in range(len(answers))
    ]
    return found, len(computed)


@given(st.lists(st.binary(max_size=40), max_size=12), st.data())
def test_wherever_the_file_is_cut_or_damaged_the_answers_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, answers: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("known") / "known.bin"
    with opened(path) as known:
        assert ask_all(known, answers) == (answers, len(answers))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[at:]
    path.write_bytes(content)
    with opened(path) as known:
        found, computed = ask_all(known, answers)
    assert found == answers
    with opened(path) as known:
        assert ask_all(known, answers) == (answers, 0)
    assert computed <= len(answers)


def test_other_questions_are_answered_anew_from_where_they_differ(tmp_path: Path) -> None:
    with opened(tmp_path / "known.bin") as known:
        ask_all(known, [b"a", b"b", b"c"])
    with opened(tmp_path / "known.bin") as known:
        assert known.ask(bytes(16), lambda: b"new", bytes, bytes) == b"a"
        assert known.ask(b"x" * 16, lambda: b"new", bytes, bytes) == b"new"
        assert known.ask((2).to_bytes(16, "big"), lambda: b"later", bytes, bytes) == b"later"


def test_that_an_engine_failed_is_known_too(tmp_path: Path) -> None:
    def fail() -> bytes:
        raise EngineError("out of memory")

    for answers in ((fail, lambda: b"a"), (lambda: b"new", lambda: b"new")):
        with opened(tmp_path / "known.bin") as known:
            with pytest.raises(EngineError, match="out of memory"):
                known.ask(bytes(16), answers[0], bytes, bytes)
            assert known.ask(b"x" * 16, answers[1], bytes, bytes) == b"a"


def test_what_belongs_to_other_work_is_not_believed(tmp_path: Path) -> None:
    with opened(tmp_path / "known.bin", "one bundle") as known:
        ask_all(known, [b"a"])
    with opened(tmp_path / "known.bin", "another") as known:
        assert ask_all(known, [b"b"]) == ([b"b"], 1)


floats = st.floats(allow_nan=False, width=64)


@given(st.lists(floats, min_size=6, max_size=6), st.booleans())
def test_an_alignment_comes_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float], has_pose: bool
) -> None:
    pose = Pose(*numbers[:4], np.array([[numbers[0], 0.1], [0.1, numbers[1]]]), 5, 9, 0.3, 0.2)
    aligned = replace(Alignment(*numbers), pose=pose if has_pose else None)
    patch = Patch(np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), np.uint8), 1.0, 0.0, 0.0)
    asked: list[Any] = []

    def verify(*told: Any) -> Alignment:
        asked.append(told)
        return aligned

    path = tmp_path_factory.mktemp("known") / "known.bin"
    for _ in range(2):
        with opened(path) as known:
            ask = known_verify(verify, known)
            again = ask(lambda *_: patch, [(1.0, 2.0)], None, VerifyConfig())
        assert repr(again) == repr(aligned)
    assert len(asked) == 1


def words(flight: Path, bundle: Path, out: Path) -> dict[str, Any]:
    return {
        "logs": [str(flight / "flight.mp4")],
        "bundles": [bundle],
        "out": out,
        "telemetry": [flight / "telemetry.csv"],
        "truth": [flight / "truth.csv"],
        "to_s": 24.0,
        "overrides": ["camera.hfov_deg=70"],
    }


@pytest.fixture(scope="module")
def whole(rehearsal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A replay that nothing stopped."""
    out = tmp_path_factory.mktemp("whole") / "out"
    replay(**words(rehearsal / "flight", rehearsal / "bundle", out))
    return out


def results(out: Path) -> dict[str, bytes]:
    names = [path.name for path in out.iterdir()]
    assert WORK not in names
    return {
        name: (out / name).read_bytes()
        for name in names
        if name not in ("timing.json", "report.html")
    }


@pytest.mark.parametrize("after", [0, 1, 9])
def test_stopped_after_some_pictures_it_encodes_only_the_others(
    rehearsal: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    encode, calls = Encoder.encode, []

    def stop(self: Encoder, prepared: Any) -> Any:
        if len(calls) == after:
            raise KeyboardInterrupt
        calls.append(1)
        return encode(self, prepared)

    told = words(rehearsal / "flight", rehearsal / "bundle", tmp_path / "out")
    known = "geobridge.onboard.replay.known.Encoder.encode"
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "check_known_answers", lambda *_: None)
        patch.setattr(known, stop)
        with pytest.raises(KeyboardInterrupt):
            replay(**told)
    assert not (tmp_path / "out" / "fixes.jsonl").exists()
    again: list[int] = []

    def count(self: Encoder, prepared: Any) -> Any:
        again.append(1)
        return encode(self, prepared)

    monkeypatch.setattr(Encoder, "check_known_answers", lambda *_: None)
    monkeypatch.setattr(known, count)
    replay(**told)
    assert len(again) == 25 - after
    assert results(tmp_path / "out") == results(whole)


def test_stopped_while_the_report_is_written_it_encodes_nothing_again(
    rehearsal: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    def never(*_: Any) -> None:
        raise AssertionError("a picture was encoded again")

    told = words(rehearsal / "flight", rehearsal / "bundle", tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr("geobridge.onboard.replay.conclude.write_report", stop)
        with pytest.raises(KeyboardInterrupt):
            replay(**told)
    assert not (tmp_path / "out" / "summary.json").exists()
    monkeypatch.setattr(Encoder, "check_known_answers", lambda *_: None)
    monkeypatch.setattr("geobridge.onboard.replay.known.Encoder.encode", never)
    replay(**told)
    assert results(tmp_path / "out") == results(whole)


def test_killed_in_a_process_of_its_own(rehearsal: Path, whole: Path, tmp_path: Path) -> None:
    flight, out = rehearsal / "flight", tmp_path / "out"
    command = [GEOBRIDGE, "replay", flight / "flight.mp4", "--telemetry", flight / "telemetry.csv"]
    command += ["--truth", flight / "truth.csv", "--bundle", rehearsal / "bundle", "-o", out]
    command += ["--to", "24", "camera.hfov_deg=70"]
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL)
    known, until_s = out / WORK / "known.bin", time.monotonic() + 60.0
    while time.monotonic() < until_s and not (known.exists() and known.stat().st_size > 3000):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert known.stat().st_size > 3000
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert results(out) == results(whole)


def test_killed_with_two_workers(rehearsal: Path, tmp_path: Path) -> None:
    flights, out = [rehearsal / "flight", rehearsal / "abroad"], tmp_path / "out"
    command: list[Any] = [GEOBRIDGE, "replay", *(flight / "flight.mp4" for flight in flights)]
    for name in ("telemetry", "truth"):
        for flight in flights:
            command += [f"--{name}", flight / f"{name}.csv"]
    command += ["--bundle", rehearsal / "bundle", "-o", out, "--to", "9", "--workers", "2"]
    command.append("camera.hfov_deg=70")
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL)
    until_s = time.monotonic() + 60.0
    while time.monotonic() < until_s and len(list(out.glob(f"*/{WORK}/known.bin"))) < 2:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # for the workers to see it
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "writes there" not in done.stderr
    assert not list(out.glob(f"*/{WORK}"))
    assert len((out / "flight" / "fixes.jsonl").read_text().splitlines()) == 10


def test_what_is_done_is_not_done_again_until_something_changes(
    rehearsal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = words(rehearsal / "flight", rehearsal / "bundle", tmp_path / "out") | {"to_s": 4.0}
    replay(**told)
    before = results(tmp_path / "out")
    calls: list[int] = []
    localize = "geobridge.onboard.replay.conclude.localize"

    def counted(*given: Any) -> Any:
        calls.append(1)
        return really_localize(*given)

    monkeypatch.setattr(localize, counted)
    replay(**told)
    assert (calls, results(tmp_path / "out")) == ([], before)
    replay(**told | {"overrides": ["camera.hfov_deg=69"]})
    assert calls == [1]
    assert results(tmp_path / "out") != before
