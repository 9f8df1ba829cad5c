"""Street pictures as places, a panorama as several: each with another bearing in its middle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from geobridge.onboard.bundle import PLACE
from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.pictures.photo_tags import read_tags
from geobridge.onboard.frames.picture import read_upright
from geobridge.onboard.geodesy import MAX_RADIUS_M, LocalFrame, distance_m
from geobridge.onboard.records import Image
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.retrieval.layer import spatial_order
from geobridge.onboard.views import VIEW_CODES, View
from geobridge.training.sources import StreetSource
from geobridge.training.street.picture import StreetPicture
from geobridge.training.street.pictures import StreetFolder

from ..area import Ring
from ..places import Laid, Picture

CUT_PX = 512
"""Width of what is cut from a panorama."""


@dataclass(frozen=True)
class Cuts:
    """What each street place shows: a picture, or a panorama turned by `turns_deg` and cut."""

    pictures: tuple[StreetPicture, ...]
    turns_deg: npt.NDArray[np.float64]
    hfov_deg: float | None

    def __call__(self, row: int) -> Picture:
        """[H, W, 3] of a place; all of it shows something."""
        image, turn_deg = read_upright(self.pictures[row].path), float(self.turns_deg[row])
        if math.isnan(turn_deg):
            return image, None
        return (
            turned(image, turn_deg)
            if self.hfov_deg is None
            else cut(image, turn_deg, self.hfov_deg)
        ), None


def turned(panorama: Image, turn_deg: float) -> Image:
    """The same panorama with what lay `turn_deg` to the right of its middle in its middle."""
    return np.roll(panorama, -round(turn_deg / 360.0 * panorama.shape[1]), axis=1)


def cut(panorama: Image, turn_deg: float, hfov_deg: float) -> Image:
    """[H, W, 3] what a level camera sees, 4:3, whose axis lies `turn_deg` right of the middle."""
    width, height = CUT_PX, CUT_PX * 3 // 4
    f_px = width / 2.0 / math.tan(math.radians(hfov_deg) / 2.0)
    x = (np.arange(width) - (width - 1) / 2.0) / f_px
    y = (np.arange(height) - (height - 1) / 2.0) / f_px
    right, down = np.meshgrid(x, y)
    bearing = np.arctan(right) + math.radians(turn_deg)
    rise = np.arctan2(-down, np.hypot(right, 1.0))
    rows, columns = panorama.shape[:2]
    column = (bearing / (2.0 * math.pi) + 0.5) % 1.0 * columns - 0.5
    row = (0.5 - rise / math.pi) * rows - 0.5
    picture = cv2.remap(
        panorama,
        column.astype(np.float32),
        row.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    return np.asarray(picture, np.uint8)


def lay_street(
    street: StreetFolder,
    source: StreetSource,
    row: int,
    frame: LocalFrame,
    imagery: ReferenceImagery | None,
) -> Laid:
    """Every picture as a place of the bundle's plane.

    Args:
        street: the pictures.
        source: how they are to be cut.
        row: of the source in the manifest.
        frame: the plane.
        imagery: what a position that they give can be checked against, if there is any.

    Raises:
        DataError: names the picture whose position the reference imagery does not show.
    """
    for picture in street.pictures:
        if not _is_shown(picture, frame, imagery):
            where = picture.told or str(picture.path)
            expected = "the imagery shows" if imagery else "lies with the others"
            raise DataError(f"{where}: expected a place that {expected}")
    pictures, turns_deg = _cuts(street.pictures, source)
    places = np.zeros(len(pictures), PLACE)
    places["lat_deg"] = [picture.lat_deg for picture in pictures]
    places["lon_deg"] = [picture.lon_deg for picture in pictures]
    headings = np.array([picture.heading_deg for picture in pictures])
    places["heading_deg"] = np.mod(headings + np.nan_to_num(turns_deg), 360.0)
    places["footprint_m"], places["source"] = source.reach_m, row
    places["view"], places["aliasing"] = VIEW_CODES[View.STREET], np.nan
    places["east_m"], places["north_m"] = frame.to_enu(places["lat_deg"], places["lon_deg"]).T
    order = spatial_order(places["east_m"], places["north_m"])
    cuts = Cuts(tuple(pictures[i] for i in order), turns_deg[order], source.hfov_deg)
    return Laid(View.STREET, source.reach_m, None, places[order], cuts)


def ring_of(pictures: Sequence[StreetPicture]) -> Ring:
    """Latitudes and longitudes of all."""
    return (
        np.array([picture.lat_deg for picture in pictures]),
        np.array([picture.lon_deg for picture in pictures]),
    )


def _cuts(
    pictures: Sequence[StreetPicture], source: StreetSource
) -> tuple[list[StreetPicture], npt.NDArray[np.float64]]:
    """A picture for each place, and by how much it is turned; NaN for what is left as it is."""
    if source.headings == 1 and source.hfov_deg is None:
        return list(pictures), np.full(len(pictures), np.nan)
    step_deg = 360.0 / source.headings
    laid, turns_deg = [], []
    for picture in pictures:
        whole = not read_tags(picture.path).is_panorama
        turns = [math.nan] if whole else [step_deg * number for number in range(source.headings)]
        laid += [picture] * len(turns)
        turns_deg += turns
    return laid, np.array(turns_deg)


def _is_shown(picture: StreetPicture, frame: LocalFrame, imagery: ReferenceImagery | None) -> bool:
    origin = frame.origin_lat_deg, frame.origin_lon_deg
    if not distance_m(*origin, picture.lat_deg, picture.lon_deg) <= MAX_RADIUS_M:
        return False  # the plane does not tell the other side of the Earth from this one
    if imagery is None:
        return True
    east_m, north_m = frame.to_enu(picture.lat_deg, picture.lon_deg)
    _, valid, _ = imagery.read(float(east_m), float(north_m), 1)
    return bool(valid.all())
