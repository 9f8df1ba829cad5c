"""Where the satellite maps of UAV-VisLoc lie, and the tiles that Game4Loc cut of them.

Corners as the data set's own table has them, upper left and lower right, and sizes in pixels as in
Game4Loc's preparation.
"""

from __future__ import annotations

import math

TILE_PX = 256

MAPS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[int, int]]] = {
    "01": ((29.774065, 115.970635), (29.702283, 115.996851), (26_762, 9_774)),
    "02": ((29.817376, 116.033769), (29.725402, 116.064566), (34_291, 11_482)),
    "03": ((32.355491, 119.805926), (32.290290, 119.900052), (24_308, 35_092)),
    "04": ((32.254036, 119.905980), (32.151018, 119.954509), (38_408, 18_093)),
    "05": ((24.666899, 102.340055), (24.650422, 102.365252), (6_144, 9_394)),
    "06": ((32.373177, 109.635160), (32.346944, 109.656837), (9_780, 8_082)),
    "07": ((40.340058, 115.791182), (40.339604, 115.799230), (170, 3_000)),
    "08": ((30.947227, 120.136489), (30.903521, 120.252951), (16_294, 43_421)),
    "10": ((40.355093, 115.776356), (40.341475, 115.794041), (5_077, 6_593)),
    "11": ((38.852301, 101.013109), (38.807825, 101.092483), (16_582, 29_592)),
}
"""By map: (lat, lon) of the upper left and lower right corner, (height, width) in pixels."""


def centre(tile: str) -> tuple[float, float] | None:
    """Latitude and longitude of the middle of `<map>_<zoom>_<x>_<y>`; None for another name.

    At the largest zoom a tile is 256 pixels of the map, at every smaller one twice as many.
    """
    name, *words = tile.split("_")
    if name not in MAPS or len(words) != 3 or not all(word.isdecimal() for word in words):
        return None
    zoom, x, y = map(int, words)
    (top, left), (bottom, right), (height, width) = MAPS[name]
    largest = math.ceil(math.log2(max(height, width) / TILE_PX))
    scale = 2.0 ** (largest - zoom)
    down = (y + 0.5) * TILE_PX / math.ceil(height / scale)
    along = (x + 0.5) * TILE_PX / math.ceil(width / scale)
    return top - down * (top - bottom), left + along * (right - left)
