"""What other programs read of a replay, and the figures."""

from __future__ import annotations

import io
import json
import math
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader

from geobridge.onboard.errors import DataError
from geobridge.onboard.replay.album import Pictured
from geobridge.onboard.replay.columns import HOLD_S, Columns
from geobridge.onboard.replay.expected import differences
from geobridge.onboard.replay.strata import availability_by_stratum
from geobridge.onboard.replay.summary import _most_wrong
from geobridge.onboard.replay.tracks import fixed_runs, geojson, gpx, kml, true_runs
from geobridge.onboard.replay.viewer import FIGURES, TRUTH, write_mcap

from .flown import write_lines

KML = "{http://www.opengis.net/kml/2.2}"
GPX = "{http://www.topografix.com/GPX/1/1}"
ODD = "a <b> & \"c\" '{}'"


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Columns:
    path = tmp_path_factory.mktemp("lines") / "fixes.jsonl"
    return Columns.read(write_lines(path, 320, name=ODD))


def test_lines_become_columns(columns: Columns) -> None:
    assert len(columns) == 320
    assert columns.is_fix.sum() == 320 - 4 - 3 * 6
    assert columns.elapsed_s[-1] == pytest.approx(159.5)
    assert np.isfinite(columns["error_m"]).sum() == columns.is_fix.sum()
    assert np.isfinite(columns["score"]).all()


def test_states_are_what_the_daemon_would_have_been_in(columns: Columns) -> None:
    states = [state.value for state in columns.states]
    assert set(states[:4]) == {"ACQUIRE"}
    silent_s = np.arange(94, 100) * 0.5 - 93 * 0.5
    expected = ["TRACK" if each <= HOLD_S else "NO_FIX" for each in silent_s]
    assert states[94:100] == expected
    assert "NO_FIX" in expected


def test_silence_parts_a_track(columns: Columns) -> None:
    assert len(true_runs(columns)) == 1
    assert [len(run) for run in fixed_runs(columns)] == [90, 94, 94, 20]


def test_geojson_has_every_place_that_is_known(columns: Columns) -> None:
    tree = json.loads(geojson(columns))
    kinds = [feature["geometry"]["type"] for feature in tree["features"]]
    assert kinds[:2] == ["MultiLineString"] * 2
    points = [f for f in tree["features"] if f["geometry"]["type"] == "Point"]
    assert len(points) == 320
    first_fix = points[4]
    assert first_fix["properties"]["outcome"] == "fix"
    lon_deg, lat_deg = first_fix["geometry"]["coordinates"]
    assert (lat_deg, lon_deg) == pytest.approx(
        (columns["lat_deg"][4], columns["lon_deg"][4]), abs=1e-8
    )
    assert points[0]["properties"]["outcome"] == "unconfirmed"
    assert points[0]["properties"]["frame"] == ODD.format(0)


def test_kml_and_gpx_are_xml_with_the_same_places(columns: Columns) -> None:
    root = ElementTree.fromstring(kml(columns, ODD))
    assert root.findtext(f"{KML}Document/{KML}name") == ODD
    marks = root.findall(f".//{KML}Folder/{KML}Placemark")
    assert len(marks) == columns.is_fix.sum()
    assert ODD.format(4) in str(marks[0].findtext(f"{KML}description"))
    root = ElementTree.fromstring(gpx(columns, ODD, unix_offset_ns=1_700_000_000_000_000_000))
    tracks = {track.findtext(f"{GPX}name"): track for track in root.findall(f"{GPX}trk")}
    points = tracks["fixes"].findall(f".//{GPX}trkpt")
    assert len(points) == columns.is_fix.sum()
    assert float(points[0].attrib["lat"]) == pytest.approx(columns["lat_deg"][4], abs=1e-8)
    assert points[0].findtext(f"{GPX}time") == "2023-11-14T22:13:22.000000Z"
    assert "<time>" not in gpx(columns, ODD, None)


def test_a_viewer_finds_places_pictures_and_figures(columns: Columns, tmp_path: Path) -> None:
    moments = [Pictured(7, {}, b"jpeg"), Pictured(9, {}, b"jpeg")]
    write_mcap(tmp_path / "track.mcap", columns, moments, None)
    reader = make_reader(io.BytesIO((tmp_path / "track.mcap").read_bytes()))
    counted: dict[str, int] = {}
    for schema, channel, message in reader.iter_messages():
        counted[channel.topic] = counted.get(channel.topic, 0) + 1
        entry = json.loads(message.data)
        if channel.topic == "/fix":
            assert schema is not None
            assert schema.name == "foxglove.LocationFix"
            assert entry["position_covariance"][0] == 4.0
        if channel.topic == "/frame":
            assert message.log_time in (7 * 500_000_000, 9 * 500_000_000)
    assert counted["/fix"] == columns.is_fix.sum()
    assert (counted[TRUTH], counted[FIGURES], counted["/frame"]) == (320, 320, 2)
    write_mcap(tmp_path / "again.mcap", columns, moments, None)
    assert (tmp_path / "again.mcap").read_bytes() == (tmp_path / "track.mcap").read_bytes()


def test_every_frame_is_in_one_stratum_of_each_kind(columns: Columns) -> None:
    rows = availability_by_stratum(columns)
    for what in {row["what"] for row in rows}:
        of_it = [row for row in rows if row["what"] == what]
        assert sum(row["frames"] for row in of_it) == 320
        served = sum(row["frames"] * row["availability"] for row in of_it)
        assert served == pytest.approx(columns.is_fix.sum(), abs=0.1)


@pytest.mark.parametrize("count", [2, 5, 9, 320])
def test_no_two_parts_of_the_time_are_told_alike(columns: Columns, count: int) -> None:
    rows = availability_by_stratum(columns.of(np.arange(count)))
    parts = [row["stratum"] for row in rows if row["what"] == "time"]
    assert len(set(parts)) == len(parts) > 1


@given(st.integers(1, 3000), st.integers(0, 5))
def test_the_bound_on_wrong_fixes_is_that_of_the_binomial(fixes: int, wrong: int) -> None:
    wrong = min(wrong, fixes)
    bound = _most_wrong(wrong, fixes)
    assert wrong / fixes <= bound <= 1.0
    if wrong < fixes:
        at_most = sum(
            math.comb(fixes, k) * bound**k * (1.0 - bound) ** (fixes - k) for k in range(wrong + 1)
        )
        assert at_most == pytest.approx(0.05, abs=0.01)
    if wrong == 0:
        assert bound == pytest.approx(1.0 - 0.05 ** (1.0 / fixes), abs=1e-5)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "expected a line per frame, found none"),
        ("{}\n", "line 1"),
        ('{"t_capture_ns": 1, "frame": "a", "rejection": {"reason": "tired"}}\n', "line 1"),
        ("not json\n", "line 1"),
        ("[]\n", "line 1"),
    ],
)
def test_lines_that_are_none(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "fixes.jsonl").write_text(text)
    with pytest.raises(DataError, match=line):
        Columns.read(tmp_path / "fixes.jsonl")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
KEYS = ("t_capture_ns", "frame", "fix", "rejection", "error_m", "truth", "told", "evidence")


@settings(max_examples=150)
@given(st.sampled_from(KEYS), anything, st.booleans(), st.integers(0, 9))
def test_lines_that_were_tampered_with_are_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, key: str, new: Any, deep: bool, n: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "tampered"
    folder.mkdir(exist_ok=True)
    path = folder / "fixes.jsonl"
    if not path.exists():
        write_lines(path, 10)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    inner = lines[n].get(key)
    if deep and isinstance(inner, dict) and inner:
        inner[sorted(inner)[n % len(inner)]] = new
    else:
        lines[n][key] = new
    changed = folder / "changed.jsonl"
    changed.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for read in (Columns.read, partial(differences, stored=path)):
        with suppress(DataError):
            read(changed)
