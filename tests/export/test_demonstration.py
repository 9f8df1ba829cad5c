"""The demo's story, picture, page and sheet, told of flights made up by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("numba")
pytest.importorskip("rasterio")
pytest.importorskip("torch")

from geobridge.export.demonstration.page import write_page
from geobridge.export.demonstration.picture import draw
from geobridge.export.demonstration.pilot import onboard_toml
from geobridge.export.demonstration.sheet import PLACES, TEXT_PX, TILE_PX, write_sheet
from geobridge.export.demonstration.sortie import Sortie
from geobridge.export.demonstration.story import tell
from geobridge.export.flights.live import LiveFlight
from geobridge.export.flights.mission import Mission
from geobridge.export.flights.wires import Wires
from geobridge.onboard.camera import Camera
from geobridge.onboard.config import RunConfig, load
from geobridge.onboard.frames.picture import read_picture
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Attitude, Fix, Image, Reason, Rejection
from geobridge.onboard.simulation.autopilot.vehicle import Estimate
from geobridge.onboard.simulation.flying.exposures import Shutter
from geobridge.onboard.simulation.flying.faults import parse_faults
from geobridge.onboard.simulation.flying.simulate import Ending
from geobridge.onboard.simulation.flying.terrain import Terrain
from geobridge.onboard.simulation.live import Moment
from geobridge.onboard.simulation.state import State

S = 1_000_000_000
START_NS, CUT_S, SPEED_M_S = 777 * S, 10.0, 5.0
FRAME = LocalFrame(47.4, 8.5)
TERRAIN = Terrain(FRAME, -200.0, -200.0, 200.0, 200.0, lambda at: np.zeros(at.shape[:-1]))
MISSION = Mission(
    setting=None,
    terrain=TERRAIN,
    route=None,
    camera=Camera.from_hfov(32, 24, 70.0),
    shutter=Shutter(1.0),
    faults=parse_faults([f"outage@{CUT_S:g}"]),
)


def test_the_pilot_writes_down_what_is_flown(tmp_path: Path) -> None:
    wires = Wires("udpout:127.0.0.1:14550", Path("/run/eye"))
    paths = tmp_path / "bundle", tmp_path / 'a "key"', tmp_path / "record"
    path = tmp_path / "onboard.toml"
    path.write_text(onboard_toml(MISSION, wires, *paths))
    config = load(RunConfig, path)
    assert (config.bundle, config.record.folder) == (str(paths[0]), str(paths[2]))
    assert [str(key) for key in config.trusted_keys or ()] == [str(paths[1])]
    assert config.source.frames == "stream:/run/eye"
    assert config.source.process_rate_hz == 1.0
    assert (config.link.address, config.link.gps_id) == ("udpin:127.0.0.1:14550", 1)
    assert config.camera.camera(32, 24) == MISSION.camera


def moment(time_s: float, error_m: float = 0.0, start_ns: int = START_NS) -> Moment:
    """Eastward from the west at `SPEED_M_S`; the autopilot believes to be north of the truth."""
    east_m, level = -100.0 + SPEED_M_S * time_s, Attitude(0.0, 0.0, 90.0)
    velocity = (SPEED_M_S, 0.0, 0.0)
    state = State(time_s, east_m, 0.0, 100.0, level, velocity)
    estimate = Estimate(east_m, error_m, 100.0, velocity, level, 1.0, True)
    t_ns = start_ns + round(time_s * S)
    return Moment(t_ns, state, estimate, has_gnss=time_s < CUT_S)


def fix(time_s: float, error_m: float, accuracy_m: float = 3.0) -> Fix:
    """North of the truth by `error_m`."""
    lat_deg, lon_deg = FRAME.to_geodetic((-100.0 + SPEED_M_S * time_s, error_m))
    where = float(lat_deg), float(lon_deg), accuracy_m
    return Fix(START_NS + round(time_s * S), *where, None, None, None, 0.9, 0.8, 1)


def silence(time_s: float, reason: Reason) -> Rejection:
    return Rejection(START_NS + round(time_s * S), reason, "")


MOMENTS = [moment(k / 10, error_m=4.0 if k > 200 else 2.0) for k in range(301)]
ALONE = [moment(k / 10, error_m=3.0 * max(0.0, k / 10 - CUT_S), start_ns=0) for k in range(181)]
OUTCOMES: list[Fix | Rejection] = [
    fix(1.0, 1.0),
    silence(2.0, Reason.AMBIGUOUS),
    fix(12.0, 2.0, accuracy_m=2.0),
    silence(13.0, Reason.LOW_SCORE),
    silence(14.0, Reason.LOW_SCORE),
    fix(15.0, 3.0, accuracy_m=4.0),
    fix(20.0, 83.0),  # beyond every limit: wrong
]


def sortie(
    outcomes: Sequence[Fix | Rejection] = OUTCOMES,
    has_arrived: bool = True,
    moments: Sequence[Moment] = MOMENTS,
) -> Sortie:
    ending = Ending.ARRIVED if has_arrived else Ending.FAILSAFE
    flight = LiveFlight(list(moments), ending, "GUIDED", moments[-1].state.time_s, len(outcomes))
    return Sortie(MISSION, flight, list(outcomes), ALONE)


def test_the_figures_are_those_of_the_flight() -> None:
    told = tell(sortie()).summary
    assert told["arrived"] is True
    assert told["ending"] == "arrived"
    assert told["flight_s"] == pytest.approx(30.0)
    assert told["without_gnss_s"] == pytest.approx(20.0)
    assert told["without_gnss_m"] == pytest.approx(100.0)
    assert (told["frames"], told["fixes"], told["wrong_fixes"]) == (7, 4, 1)
    assert list(told["withheld"].items()) == [("low_score", 2), ("ambiguous", 1)]
    errors = told["fix_error_m"]
    assert errors["median"] == pytest.approx(2.5, abs=0.01)
    assert errors["max"] == pytest.approx(83.0, abs=0.01)
    assert errors["p95"] == pytest.approx(3.0 + 0.85 * 80.0, abs=0.01)
    assert told["stated_accuracy_m"] == pytest.approx(3.0)
    assert told["autopilot_error_m"] == pytest.approx({"median": 2.0, "p95": 4.0, "max": 4.0})
    assert told["unaided"] == pytest.approx({"gave_up_after_s": 8.0, "error_m": 24.0})


def test_positions_stand_where_and_when_they_were() -> None:
    story = tell(sortie())
    assert story.cut_s == CUT_S
    assert story.fix_time_s == pytest.approx([1.0, 12.0, 15.0, 20.0])
    expected_m = [(-95.0, 1.0), (-40.0, 2.0), (-25.0, 3.0), (0.0, 83.0)]
    assert story.fixes_m == pytest.approx(np.array(expected_m), abs=1e-3)
    assert story.withheld_time_s == pytest.approx([2.0, 13.0, 14.0])
    assert story.withheld_m == pytest.approx(np.array([(-90.0, 0), (-35.0, 0), (-30.0, 0)]))
    assert story.accuracy_m.tolist() == [3.0, 2.0, 4.0, 3.0]
    assert story.track.has_gnss.sum() == 100


def test_frames_before_take_off_and_after_the_end_are_not_of_the_flight() -> None:
    around = [fix(-1.0, 90.0), *OUTCOMES, fix(30.5, 90.0), silence(31.0, Reason.FROZEN)]
    assert tell(sortie(around)).summary == tell(sortie()).summary


@pytest.mark.parametrize(
    "outcomes", [[], [silence(2.0, Reason.AMBIGUOUS)], [fix(1.0, 1.0)]], ids=["none", "no", "all"]
)
def test_a_flight_of_silence_has_its_figures_too(outcomes: list[Fix | Rejection]) -> None:
    told = tell(sortie(outcomes)).summary
    fixes = sum(isinstance(outcome, Fix) for outcome in outcomes)
    assert (told["frames"], told["fixes"], told["wrong_fixes"]) == (len(outcomes), fixes, 0)
    assert sum(told["withheld"].values()) == len(outcomes) - fixes
    assert (told["fix_error_m"] is None) == (told["stated_accuracy_m"] is None) == (fixes == 0)
    json.dumps(told, allow_nan=False)


def test_a_flight_that_ends_before_the_cut_has_no_figures_of_afterwards() -> None:
    told = tell(sortie(moments=MOMENTS[:50])).summary
    assert told["autopilot_error_m"] is None
    assert told["without_gnss_m"] == 0.0
    assert told["without_gnss_s"] == 0.0


@pytest.mark.parametrize("has_arrived", [True, False])
@pytest.mark.parametrize(
    "outcomes",
    [OUTCOMES, [], [o for o in OUTCOMES if isinstance(o, Rejection)], [fix(1.0, 1.0)]],
    ids=["both", "nothing", "only silence", "only fixes"],
)
def test_every_flight_can_be_drawn(
    outcomes: list[Fix | Rejection], has_arrived: bool, tmp_path: Path
) -> None:
    path, ground = tmp_path / "flight.png", np.full((64, 64, 3), 90, np.uint8)
    draw(path, tell(sortie(outcomes, has_arrived)), ground, 200.0)
    image = read_picture(path)
    assert image.shape == (1080, 1680, 3)
    assert pixels(image, "#ffd21f") > 300  # the path flown
    assert (pixels(image, "#1177ff") > 2000) == any(isinstance(o, Fix) for o in outcomes)
    assert (pixels(image, "#e4002b") > 2000) == any(isinstance(o, Rejection) for o in outcomes)


def pixels(image: Image, colour: str) -> int:
    """How many are of a colour; a legend has a few hundred, one bar some thousands."""
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return int((np.abs(image.astype(int) - wanted).max(axis=2) < 12).sum())


class Reader(HTMLParser):
    """Checks that tags close in order; keeps the words, the cells and the addresses."""

    VOID = frozenset({"meta", "img", "br", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "img":
            assert dict(attrs)["alt"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.words).split())


ROWS = [
    {"direction": "drone to satellite", "queries": 37, "r1": 0.123, "r5": 0.456, "r10": 0.789}
    | {"ap": 0.234},
    {"direction": "text to <street>", "queries": 12, "r1": 0.0, "r5": 0.5, "r10": 1.0, "ap": 0.25},
]


def page(tmp_path: Path, summary: dict[str, Any], wrote: dict[str, str] | None = None) -> str:
    for name in ("flight.png", "triples.jpg"):
        assert cv2.imwrite(str(tmp_path / name), np.zeros((4, 4, 3), np.uint8))
    out = tmp_path / "index.html"
    pictures = tmp_path / "flight.png", tmp_path / "triples.jpg"
    write_page(out, summary, ROWS, *pictures, wrote or {"the bundle": "bundle/"})
    return out.read_text()


def test_the_page_tells_every_figure(tmp_path: Path) -> None:
    reader = Reader(page(tmp_path, tell(sortie()).summary))
    said = reader.said
    for words in (
        "The vehicle completed its route on its camera.",
        "30 s in the air, of these 20 s and 100 m without GNSS",
        "7 frames gave 4 fixes, 1 of them wrong; withheld: 2 low_score, 1 ambiguous.",
        "gave up 8 s after the cut, 24 m off",
        "error of a fix, m 2.5 71.0 83.0",
        "error of the autopilot after the cut, m 2.0 4.0 4.0",
        "drone to satellite 37 12.3 % 45.6 % 78.9 % 23.4 %",
        "text to <street> 12 0.0 % 50.0 % 100.0 % 25.0 %",
        "the bundle bundle/",
        "Rendered views are kinder than the sky",
    ):
        assert words in said
    assert reader.seen.count("h1") == 1


def test_the_page_does_not_praise_a_flight_that_failed(tmp_path: Path) -> None:
    said = Reader(page(tmp_path, tell(sortie([], has_arrived=False)).summary)).said
    assert "The vehicle did not complete its route (failsafe)." in said
    assert "0 frames gave 0 fixes, 0 of them wrong; withheld: none." in said
    assert "error of a fix" not in said
    assert "completed" not in said


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    text = page(tmp_path, tell(sortie()).summary)
    reader = Reader(text)
    assert text.startswith("<!doctype html>")
    assert len(reader.addresses) == 2
    assert all(re.match("data:image/(png|jpeg);base64,", place) for place in reader.addresses)
    assert not {"script", "link", "iframe", "a"} & set(reader.seen)
    assert "://" not in text
    assert "url(" not in text


def test_what_others_named_is_text_and_no_markup(tmp_path: Path) -> None:
    evil = "<script>alert('&')</script>"
    summary = tell(sortie()).summary | {"withheld": {evil: 3}}
    reader = Reader(page(tmp_path, summary, {evil: f"{evil}/"}))
    assert "script" not in reader.seen
    assert reader.said.count(evil) == 3


def triples(folder: Path, texts: dict[str, str], without_street: Sequence[str] = ()) -> Path:
    split = folder / "set" / "test"
    for view, width in (("satellite", 40), ("drone", 40), ("street", 80)):
        (split / view).mkdir(parents=True)
        for number, name in enumerate(texts):
            colour = np.full((40, width, 3), 40 + 20 * number, np.uint8)
            if not (view == "street" and name in without_street):
                assert cv2.imwrite(str(split / view / f"{name}.jpg"), colour)
    lines = [json.dumps({"id": name, "text": text}) for name, text in texts.items()]
    (split / "text.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "set"


def greys(sheet: Path) -> list[int]:
    """Of the rows, from the first tile."""
    image = read_picture(sheet)
    height = TILE_PX + TEXT_PX
    assert image.shape[1] == 4 * TILE_PX  # two squares and a panorama
    assert image.shape[0] % height == 0
    return [int(image[row + 50, 50, 0]) for row in range(0, image.shape[0], height)]


def test_a_sheet_shows_whole_triples_and_their_texts(tmp_path: Path) -> None:
    texts = {f"{number:03d}": "a crossing by a lake, " * 9 for number in range(7)}
    folder = triples(tmp_path, texts, without_street=["001"])
    write_sheet(tmp_path / "sheet.jpg", folder)
    assert greys(tmp_path / "sheet.jpg") == pytest.approx([40, 80, 100, 120], abs=2)
    assert PLACES == 4
    caption = read_picture(tmp_path / "sheet.jpg")[TILE_PX : TILE_PX + TEXT_PX]
    assert (caption < 100).any(axis=2).mean() > 0.02
    assert (caption > 240).all(axis=2).mean() > 0.6


def test_a_sheet_may_be_short(tmp_path: Path) -> None:
    folder = triples(tmp_path, {"000": "a mill", "001": ""}, without_street=["000"])
    write_sheet(tmp_path / "sheet.jpg", folder)
    assert greys(tmp_path / "sheet.jpg") == pytest.approx([60], abs=2)
