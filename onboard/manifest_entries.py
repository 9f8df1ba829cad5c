"""What manifest.json says of a bundle's parts, strictly typed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .config import NonNegative, Positive, Section
from .geodesy import LocalFrame
from .preprocess import Fit, Interpolation, Preprocess

Precision = Literal["fp32", "fp16", "int8"]
"""Of an encoder's weights and products."""
Role = Literal[
    "encoder",
    "encoder_weights",
    "places",
    "descriptors",
    "digests",
    "graph",
    "imagery",
    "terrain",
    "known_images",
    "known_descriptors",
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FlatPath = Annotated[str, Field(pattern=r"^[a-z0-9_]+(/[a-zA-Z0-9_][a-zA-Z0-9_.\-]*){1,3}$")]

MIN_GSD_M, MAX_GSD_M = 0.01, 100.0
MAX_FOOTPRINT_PX = 4096
SCORE_SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""Shares of the scores that lie below each of an entry's quantiles."""

ViewName = Literal["drone", "satellite", "street"]
Cosine = Annotated[float, Field(ge=-1.01, le=1.01)]
Quantiles = tuple[Cosine, Cosine, Cosine, Cosine, Cosine, Cosine, Cosine]


class FileEntry(Section):
    """One file of the bundle, by its path below the folder."""

    path: FlatPath
    role: Role
    size_bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256


class PreprocessEntry(Section):
    """`onboard.preprocess.Preprocess` as it is stored."""

    height_px: Annotated[int, Field(ge=1, le=4096)]
    width_px: Annotated[int, Field(ge=1, le=4096)]
    interpolation: Interpolation
    fit: Fit
    fill: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def spec(self) -> Preprocess:
        """The record that `preprocess.apply` takes."""
        return Preprocess(**self.model_dump())


class EncoderEntry(Section):
    """One exported image encoder; `weights` are apart where one file would be too large."""

    view: ViewName
    precision: Precision
    path: FlatPath
    weights: FlatPath | None = None
    opset: Annotated[int, Field(ge=7, le=30)]
    checkpoint_sha256: Sha256
    preprocess: PreprocessEntry


class DescriptorEntry(Section):
    """The space that queries and references share."""

    dimension: Annotated[int, Field(ge=2, le=8192)]
    dtype: Literal["float16"]
    metric: Literal["cosine"]
    count: Annotated[int, Field(ge=1)]


class GraphEntry(Section):
    """How an HNSW graph was built, and what it reached on held-out queries."""

    path: FlatPath
    m: Annotated[int, Field(ge=2, le=128)]
    ef_construction: Annotated[int, Field(ge=1)]
    ef: Annotated[int, Field(ge=1)]
    recall_at_10: Annotated[float, Field(ge=0, le=1)]


class ScoresEntry(Section):
    """What a drone's picture scores against the places of a layer, at `SCORE_SHARES`.

    Measured while packing, with pictures of reference imagery changed as another day and camera
    would change them, through the drone's encoder.
    """

    queries: Annotated[int, Field(ge=1)]
    genuine: Quantiles
    """Against the best place within its own footprint."""
    impostor: Quantiles
    """Against places that share no ground with it."""
    alike: Cosine
    """Similarity of a place with the square half a step beside it, lowest twentieth."""

    @property
    def min_score(self) -> float:
        """What a right place must reach: more than 95 % of wrong ones do, but no more than halfway
        from wrong to right: real pictures score less than these."""
        halfway = (self.impostor[3] + self.genuine[0]) / 2.0
        return min(self.impostor[5], halfway)


class LayerEntry(Section):
    """Places of one view and one footprint: a run of rows, in spatial order among themselves."""

    view: ViewName
    footprint_m: Positive
    spacing_m: Positive | None
    """Between neighbours of a lattice; None where places lie as they were taken."""
    apart_m: Positive
    """From one place to another that counts as a different one: they share no ground."""
    first: Annotated[int, Field(ge=0)]
    count: Annotated[int, Field(ge=1)]
    graph: GraphEntry | None
    """None where exact search is as fast, or where no graph finds enough."""
    scores: ScoresEntry | None


class ImageryEntry(Section):
    """The reference imagery: a grid of squares, row 0 at the north edge, column 0 at the west."""

    gsd_m: Annotated[float, Field(ge=MIN_GSD_M, le=MAX_GSD_M)]
    tile_px: Annotated[int, Field(ge=16, le=4096)]
    west_m: float
    north_m: float
    rows: Annotated[int, Field(ge=1)]
    columns: Annotated[int, Field(ge=1)]


class TerrainEntry(Section):
    """Heights of the surface AMSL: nodes of a grid, node (0, 0) at its north-west corner."""

    path: FlatPath
    spacing_m: Positive
    west_m: float
    north_m: float
    rows: Annotated[int, Field(ge=2)]
    columns: Annotated[int, Field(ge=2)]


class SourceEntry(Section):
    """Where references came from and under which terms, and what was done about them."""

    name: str
    kind: str
    sha256: Sha256
    licence: str
    attribution: str
    captured: str
    notes: tuple[str, ...]


class CoverageEntry(Section):
    """What the references cover, in the bundle's local frame."""

    origin_lat_deg: Annotated[float, Field(ge=-90, le=90)]
    origin_lon_deg: Annotated[float, Field(ge=-180, le=180)]
    west_m: float
    south_m: float
    east_m: float
    north_m: float
    footprint_m: Positive
    """Of the smallest squares; of street pictures where there are no squares."""
    spacing_m: Positive
    sources: tuple[SourceEntry, ...]

    @property
    def frame(self) -> LocalFrame:
        """The plane in which everything metric of this bundle is done."""
        return LocalFrame(self.origin_lat_deg, self.origin_lon_deg)


class AccuracyEntry(Section):
    """1-sigma horizontal error per axis of a verified position, and the evidence for it."""

    registration_m: Positive
    """Error of the reference imagery's own georeference, which no matching can see."""
    alignment_m: NonNegative
    """What all parts of a frame share: shadows, roofs and trees that lean."""
    fit_factor: Positive = 1.0
    """How many times the error of a fit is what the spread of its parts says."""
    evidence: str


class KnownAnswersEntry(Section):
    """Pictures and descriptors of one encoder, as files.

    Those in single precision are asked of a half precision encoder too; one of 8 bits has its own.
    """

    view: ViewName
    precision: Precision = "fp32"
    images: FlatPath
    descriptors: FlatPath
