"""The report in a real headless browser, offline, and with a hundred thousand frames."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from geobridge.onboard.config import ReplayConfig
from geobridge.onboard.records import Frame, Reason, Rejection
from geobridge.onboard.replay.album import Album, Firsts, Pictured, Spread, Worst
from geobridge.onboard.replay.columns import Columns
from geobridge.onboard.replay.reasons import EXPLAINED, FAMILIES
from geobridge.onboard.replay.report import page, write_report
from geobridge.onboard.replay.summary import summarise

from .flown import IMAGERY, flown, write_lines

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
)
TIMING = {
    "latency_ms": {"encode": {"p50": 5.0, "p99": 9.0}, "verify": {"p50": 80.0, "p99": 120.0}},
    "frames_per_s": 9.7,
    "machine": HOSTILE,
}

in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


def jpeg(grey: int) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((60, 80, 3), grey, np.uint8))[1])


def pictured(number: int) -> Pictured:
    facts = {
        "detail": "",
        "parts": [[10.0, 10.0, 0.5, 0.2, True], [30.0, 30.0, 9.0, 4.0, False]],
        "side_px": 60,
        "gsd_m": 1.0,
        "correlation": 0.4,
        "peak_ratio": 1.5,
        "candidates": [{"score": 0.9, "view": "satellite", "away_m": 12.0}],
    }
    return Pictured(number, facts, jpeg(90), jpeg(120), jpeg(150), [jpeg(180)])


def report(folder: Path, count: int, **lines: Any) -> Path:
    columns = Columns.read(write_lines(folder / "fixes.jsonl", count, **lines))
    bundle = folder / "bundle"
    bundle.mkdir()
    (bundle / "manifest.json").write_text("{}")
    settings = ReplayConfig.model_validate({"camera": {"hfov_deg": 70.0}})
    summary = summarise(columns, bundle, settings) | {
        "flight": HOSTILE,
        "remarks": [HOSTILE],
        "read_from": {"frames": HOSTILE},
        "span": {"from_s": 0.0, "to_s": None, "without_gnss_after_s": 60.0},
        "bundle": {
            "name": "bundle",
            "version": 3,
            "producer": HOSTILE,
            "sources": [
                {"name": "map.tif", "licence": "CC BY 4.0", "attribution": HOSTILE, "captured": ""}
            ],
            "accuracy": {"evidence": HOSTILE},
        },
    }
    left = flown()
    left.pictured = [pictured(number) for number in (5, 40, min(96, count - 1))]
    write_report(folder / "report.html", columns, left, IMAGERY, summary, TIMING)
    return folder / "report.html"


def shown(path: Path, profile: Path, *more: str, anchor: str = "") -> str:
    command = [
        str(CHROMIUM),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        f"--user-data-dir={profile}",
        *("--virtual-time-budget=6000", "--window-size=1320,1500"),
        *(more or ("--dump-dom",)),
        f"file://{path}{anchor}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def behaving(path: Path, script: str) -> Path:
    """The report with a visitor who does something when it is ready."""
    text = path.read_text(encoding="utf-8")
    waits = (
        "const wait = setInterval(() => { if (!document.body.dataset.readyAfterMs) return;"
        f" clearInterval(wait); {script} }}, 20);"
    )
    made = path.with_name("visited.html")
    made.write_text(text.replace("</html>", f"<script>{waits}</script></html>"), encoding="utf-8")
    return made


CLICK = """
const click = (id, x, y) => {
  const box = document.getElementById(id).getBoundingClientRect();
  const where = { clientX: box.left + x(box), clientY: box.top + y(box), bubbles: true };
  document.getElementById(id).dispatchEvent(new PointerEvent('pointerdown', where));
  document.getElementById(id).dispatchEvent(new MouseEvent('click', where));
};
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report(tmp_path_factory.mktemp("small"), 300, name=HOSTILE + "{}", reason="torn")


@in_a_browser
def test_it_opens_and_tells_the_flight(small: Path, tmp_path: Path) -> None:
    dom = shown(small, tmp_path, anchor="#frame=5")
    assert re.search(r'<body data-ready-after-ms="\d+"', dom)
    assert "300 frames over 02:29: a fix for " in dom
    assert "none of them wrong" in dom
    assert "CC BY 4.0" in dom
    assert "A part of the picture is from another moment." in dom
    assert "taken away after 60 s" in dom
    assert re.search(r'id="figures">.*stated accuracy, 1 sigma.*2\.00 m', dom)
    assert 'id="frame" alt="the frame" src="data:image/jpeg;base64,' in dom


@in_a_browser
def test_what_comes_from_files_is_text(small: Path, tmp_path: Path) -> None:
    dom = shown(small, tmp_path)
    assert "<title>owned" not in dom
    assert "<img src=x" not in dom.replace('"', "")
    text = small.read_text(encoding="utf-8")
    assert text.count("<script") == 2
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


@in_a_browser
def test_a_click_on_the_time_line_shows_that_moment(small: Path, tmp_path: Path) -> None:
    middle = "click('lanes', (b) => 64 + (b.width - 76) / 2, (b) => 60);"
    dom = shown(behaving(small, CLICK + middle), tmp_path)
    found = re.search(r'<h2 id="when">(\d+):(\d+)\.', dom)
    assert found is not None
    assert abs(int(found[1]) * 60 + int(found[2]) - 74.75) < 2.0


@in_a_browser
def test_a_click_on_the_map_and_keys_lead_on(small: Path, tmp_path: Path) -> None:
    script = (
        CLICK
        + "select(200); const x = toX(east(150)), y = toY(north(150));"
        + "click('map', () => x, () => y); const i = shown.frame;"
        + "document.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight' }));"
        + "const j = shown.frame;"
        + "document.dispatchEvent(new KeyboardEvent('keydown', { key: 'p' }));"
        + "document.body.dataset.seen = [i, j, shown.frame].join(' ');"
    )
    dom = shown(behaving(small, script), tmp_path)
    found = re.search(r'data-seen="(\d+) (\d+) (\d+)"', dom)
    assert found is not None
    near, after, with_pictures = map(int, found.groups())
    assert abs(near - 150) <= 1
    assert after == near + 1
    assert with_pictures == 5


@in_a_browser
def test_dragging_looks_closer(small: Path, tmp_path: Path) -> None:
    script = (
        "const b = document.getElementById('lanes').getBoundingClientRect();"
        "const at = (type, x, more) => document.getElementById('lanes').dispatchEvent("
        " new PointerEvent(type, { clientX: b.left + x, clientY: b.top + 60, ...more }));"
        "at('pointerdown', 200); at('pointermove', 300, { buttons: 1 }); at('click', 300);"
        "document.body.dataset.span = shown.to - shown.from;"
    )
    dom = shown(behaving(small, script), tmp_path)
    found = re.search(r'data-span="([\d.]+)"', dom)
    assert found is not None
    assert 5.0 < float(found[1]) < 40.0


@in_a_browser
def test_it_is_drawn(small: Path, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    shown(small, tmp_path / "profile", f"--screenshot={picture}")
    image = cv2.imread(str(picture))
    assert image is not None
    blue = np.all(np.abs(image.astype(int) - (255, 107, 11)) < 25, axis=2)
    assert blue.sum() > 2000  # fixes, bars and lines
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 2000  # the map is in it


@in_a_browser
@pytest.mark.slow
def test_a_hundred_thousand_frames(tmp_path: Path) -> None:
    path = report(tmp_path, 100_000)
    assert path.stat().st_size < 12e6
    dom = shown(path, tmp_path / "profile")
    ready = re.search(r'data-ready-after-ms="(\d+)"', dom)
    assert ready is not None
    assert int(ready[1]) < 20_000  # 1.5 s where nothing else runs
    assert "100000 frames over 13:53:19" in dom


def test_without_truth_and_without_a_fix(tmp_path: Path) -> None:
    lines = [
        {"t_capture_ns": n, "frame": "x", "rejection": {"reason": "black", "detail": ""}}
        for n in range(3)
    ]
    path = tmp_path / "fixes.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    columns = Columns.read(path)
    assert not columns.is_fix.any()
    (tmp_path / "manifest.json").write_text("{}")
    settings = ReplayConfig.model_validate({"camera": {"hfov_deg": 70.0}})
    summary = summarise(columns, tmp_path, settings)
    assert summary["accuracy"] is None
    assert summary["continuity"]["first_fix_s"] is None
    summary |= {"flight": "f", "remarks": [], "read_from": {}, "bundle": {"name": "b"}}
    write_report(tmp_path / "r.html", columns, flown(), IMAGERY, summary, TIMING)


def test_a_flight_elsewhere_on_earth_has_a_plane_of_its_own(tmp_path: Path) -> None:
    line = {
        "t_capture_ns": 0,
        "frame": "x",
        "rejection": {"reason": "not_verified", "detail": ""},
        "truth": [-35.0, 149.0],
    }
    lines = [line, line | {"t_capture_ns": 10**9, "truth": [-35.001, 149.0]}]
    path = tmp_path / "fixes.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    summary = {"flight": "f", "bundle": {"name": "b"}}
    write_report(tmp_path / "r.html", Columns.read(path), flown(), IMAGERY, summary, TIMING)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    found = re.search(r'"shown":(\{[^}]*\}),"ground":null', text)
    assert found is not None
    box = json.loads(found[1])
    assert box["north_m"] - box["south_m"] == pytest.approx(200.0, abs=1.0)


def test_no_tag_ends_the_data() -> None:
    assert page(HOSTILE, {"x": HOSTILE}).count("</script>") == 2


def test_every_reason_is_explained() -> None:
    assert set(EXPLAINED) == set(Reason)
    assert {family for family, _ in EXPLAINED.values()} == set(FAMILIES)


@pytest.mark.parametrize("count", [1, 7, 100, 1000])
def test_what_is_kept_does_not_grow_with_the_flight(count: int) -> None:
    spread, worst, firsts = Spread(10), Worst(10), Firsts(12)
    held: set[int] = set()
    errors = np.random.default_rng(count).permutation(count).astype(float)
    for number in range(count):
        is_spread, dropped = spread.take(number)
        assert is_spread == (number in spread.held)
        assert set(dropped) <= set(range(number))
        is_bad, good = worst.take(number, float(errors[number]))
        held = (held | {number}) - set(good) if is_bad else held - set(good)
        assert len(spread.held) <= 10
        assert len(held) <= 10
    assert held == set(np.argsort(-errors)[:10].tolist())
    gaps = np.diff(spread.held)
    assert len(set(gaps.tolist())) <= 1
    assert spread.held[0] == 0
    kinds = ["fix", "torn", "black", "fix"] * 50
    assert sum(firsts.take(kind) for kind in kinds) == 12


@pytest.mark.parametrize("count", [3, 40, 1000])
def test_however_many_moments_are_asked_for(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """None that one of the three holds is lost, and none is kept that nobody holds."""
    monkeypatch.setattr(
        "geobridge.onboard.replay.album.pictured", lambda number, *_: pictured(number)
    )
    errors_m = np.random.default_rng(count).permutation(count).astype(float)
    silent = Rejection(0, Reason.NOT_VERIFIED, "")
    for most in range(41):
        album, third = Album(flown().localizer, most), most // 3
        for error_m in errors_m:
            outcome: Any = SimpleNamespace(result=silent, error_m=float(error_m))
            album.consider(Frame(np.zeros((2, 2, 3), np.uint8), 0, "f"), outcome, None)
        steps = (2**n for n in range(11) if third)
        step = next((step for step in steps if -(-count // step) <= third), count)
        spread = set(range(0, count, step)) if third else set()
        worst = set(np.argsort(-errors_m)[:third].tolist())
        firsts = set(range(min(2, most - 2 * third, count)))
        assert {each.number for each in album.pictured()} == spread | worst | firsts


def test_an_album_of_nothing() -> None:
    assert Album(flown().localizer, 0).pictured() == []
