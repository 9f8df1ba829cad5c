"""What a planned land consists of, as vectors in metres east and north of its middle."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .raster import Floats


class RoadKind(Enum):
    """Width of the carriageway and of each pavement in metres, and whether it has bridges."""

    HIGHWAY = (11.0, 2.6, True)
    COLLECTOR = (8.5, 2.2, True)
    LANE = (5.2, 0.9, True)
    STREET = (6.0, 1.6, False)
    TRACK = (3.0, 0.0, False)

    def __init__(self, width_m: float, pavement_m: float, bridges: bool) -> None:
        self.width_m = width_m
        self.pavement_m = pavement_m
        self.bridges = bridges

    @property
    def full_width_m(self) -> float:
        """With both pavements."""
        return self.width_m + 2.0 * self.pavement_m


class Use(Enum):
    """What a block is for."""

    PERIMETER = "perimeter"
    HOUSES = "houses"
    ROWS = "rows"
    SLABS = "slabs"
    TOWERS = "towers"
    HALLS = "halls"
    CAR_PARK = "car_park"
    PARK = "park"
    PITCH = "pitch"
    ALLOTMENTS = "allotments"
    FIELD = "field"
    MEADOW = "meadow"
    ORCHARD = "orchard"
    SOLAR = "solar"
    GREENHOUSES = "greenhouses"
    FARM = "farm"
    FOREST = "forest"
    PLANTATION = "plantation"
    BARE = "bare"
    CHURCH = "church"
    CASTLE = "castle"
    STADIUM = "stadium"
    WATER_TOWER = "water_tower"
    SILOS = "silos"
    WIND_TURBINES = "wind_turbines"
    POWER_STATION = "power_station"
    QUARRY = "quarry"
    BIG_HALL = "big_hall"
    STATION = "station"


REPEATING = (Use.ROWS, Use.ALLOTMENTS, Use.ORCHARD, Use.SOLAR, Use.GREENHOUSES, Use.PLANTATION)
"""Uses that look alike from one spot to the next, on purpose."""


class JunctionKind(Enum):
    """How roads meet."""

    CROSSING = "crossing"
    T = "t"
    Y = "y"
    ROUNDABOUT = "roundabout"


class Over(Enum):
    """What a bridge spans."""

    RIVER = "river"
    RAIL = "rail"
    MOTORWAY = "motorway"


class TrunkKind(Enum):
    """A line that no street crosses: width of its bed and how deep it is cut, in metres."""

    RAIL = (9.0, 6.0)
    MOTORWAY = (26.0, 6.5)

    def __init__(self, width_m: float, cut_m: float) -> None:
        self.width_m = width_m
        self.cut_m = cut_m


@dataclass(frozen=True, eq=False)
class Road:
    """A centre line [K, 2]; its ends lie on the roads that it meets."""

    line_m: Floats
    kind: RoadKind


@dataclass(frozen=True, eq=False)
class Junction:
    """Where roads meet; `arms` of them leave, `radius_m` is that of a roundabout's outer kerb."""

    at_m: Floats
    kind: JunctionKind
    arms: int
    radius_m: float = 0.0


@dataclass(frozen=True, eq=False)
class Bridge:
    """A road or a rail across something: its axis [K, 2], from bank to bank."""

    line_m: Floats
    width_m: float
    over: Over


@dataclass(frozen=True, eq=False)
class Trunk:
    """A railway or a motorway across the whole map: centre line [K, 2]."""

    line_m: Floats
    kind: TrunkKind


@dataclass(frozen=True, eq=False)
class River:
    """The middle of the water [K, 2], downstream, and its width [K]."""

    line_m: Floats
    width_m: Floats


@dataclass(frozen=True, eq=False)
class Waters:
    """Rivers (the main one first), shores [K, 2] of lakes, outline [K, 2] of the sea (or None)."""

    rivers: tuple[River, ...]
    lakes: tuple[Floats, ...]
    sea_m: Floats | None


@dataclass(frozen=True, eq=False)
class Settlement:
    """A town or village: its middle [2] and how far it reaches."""

    at_m: Floats
    radius_m: float


@dataclass(frozen=True, eq=False)
class Block:
    """Ground between roads: bent outline [K, 2] and its corners [C, 2], both anticlockwise."""

    outline_m: Floats
    corners_m: Floats
    use: Use


@dataclass(frozen=True, eq=False)
class Landmark:
    """Something that stands out: its middle [2] and how far it reaches to each side."""

    at_m: Floats
    use: Use
    extent_m: float


@dataclass(frozen=True, eq=False)
class Area:
    """A district: outline [K, 2] and what kind it is, as in `districts.District.name`."""

    outline_m: Floats
    kind: str


@dataclass(frozen=True, eq=False)
class Layout:
    """The whole plan of a map of `size_m` x `size_m`."""

    size_m: float
    waters: Waters
    settlements: tuple[Settlement, ...]
    areas: tuple[Area, ...]
    roads: tuple[Road, ...]
    trunks: tuple[Trunk, ...]
    junctions: tuple[Junction, ...]
    bridges: tuple[Bridge, ...]
    stations: tuple[Landmark, ...]
    landmarks: tuple[Landmark, ...]
    blocks: tuple[Block, ...]

    @property
    def roundabouts(self) -> tuple[Junction, ...]:
        """Those of the junctions."""
        return tuple(j for j in self.junctions if j.kind is JunctionKind.ROUNDABOUT)
