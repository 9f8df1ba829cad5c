"""`geobridge calibrate`: the accuracy that flights over a bundle bear out, into a new bundle.

What a fix states is made of the map's own error, the attitude's, and that of the alignment. Flights
with a known truth can say whether that is enough: the error of alignment that the manifest states
is set so that errors are as large as stated, at the cautious end of what the flights allow.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geobridge.onboard import durable, metrics
from geobridge.onboard.bundle import MANIFEST, SIGNATURE, Bundle, sha256, write_manifest
from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import Floats
from geobridge.onboard.manifest_entries import AccuracyEntry
from geobridge.onboard.replay.summary import WRONG_LIMIT_M

LEAST_FIXES, LEAST_PIECES = 100, 4
PIECE_S = 10.0
"""Flights are resampled in pieces as long as this: errors of neighbouring frames are one error."""
CAUTIOUS = 0.95
"""Quantile of the resampled flights that the manifest states."""
RESAMPLED = 400
MOST_M = 100.0
_NS = 1e-9


@dataclass(frozen=True, eq=False)
class Flight:
    """[N] fixes of a replay: when, horizontal error in metres, and 1-sigma per axis as stated."""

    name: str
    t_s: Floats
    errors_m: Floats
    stated_m: Floats

    @classmethod
    def read(cls, folder: Path, bundle: Path) -> Flight:
        """What `geobridge replay` left of a flight over this bundle, with a truth.

        Raises:
            DataError: it left something else, or flew another bundle.
        """
        try:
            summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
            lines = (folder / "fixes.jsonl").read_text(encoding="utf-8").splitlines()
            flown, rows = summary["bundle_manifest_sha256"], [json.loads(line) for line in lines]
            found = [_row(row) for row in rows if row.get("error_m") is not None]
        except OSError as error:
            raise DataError(f"{error.filename}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError(f"{folder}: not what `geobridge replay` leaves") from None
        if flown != sha256(bundle / MANIFEST):
            raise DataError(f"{folder}: was replayed with another bundle than {bundle}")
        if not found:
            raise DataError(f"{folder}: no fix with a truth; replay it with --truth")
        table = np.array(found, float)
        if not (np.isfinite(table).all() and (table[:, 2] > 0).all()):
            raise DataError(f"{folder}: fixes.jsonl: expected finite errors and accuracies above 0")
        return cls(folder.name, *table.T)


def calibrate(bundle: Path, flights: Sequence[Path], out: Path) -> dict[str, Any]:
    """A copy of a bundle that states the accuracy its flights have; the figures before and after.

    Args:
        bundle: the one that was flown; it stays as it is.
        flights: folders that `geobridge replay --truth` left. Flights that anything was tuned on
            say nothing here, nor does a truth that was matched against the bundle's own imagery.
        out: the new bundle, of the next version and not yet signed.

    Raises:
        BundleError: the bundle is not whole.
        DataError: flights that cannot tell, or a fix that is wrong: no accuracy makes up for it.
    """
    if out.exists():
        raise DataError(f"{out}: exists")
    opened = Bundle.open(bundle)
    return calibrated(opened, [Flight.read(folder, bundle) for folder in flights], out)


def calibrated(bundle: Bundle, flown: Sequence[Flight], out: Path) -> dict[str, Any]:
    """As `calibrate`, by fixes that are at hand."""
    errors_m, stated_m = (
        np.concatenate([getattr(flight, name) for flight in flown])
        for name in ("errors_m", "stated_m")
    )
    pieces = _enough(flown, errors_m, stated_m)
    before = bundle.manifest.accuracy
    alignment_m = _cautious_m(pieces, before.alignment_m)
    new_m = _restated(stated_m, before.alignment_m, alignment_m)
    figures = {
        "fixes": len(errors_m),
        "flights": len(flown),
        "pieces": len(pieces),
        "alignment_m_before": before.alignment_m,
        "alignment_m": alignment_m,
        "half_nees_before": _half_nees(errors_m, stated_m),
        "half_nees": _half_nees(errors_m, new_m),
        "coverage_1_2_3_sigma": metrics.coverage((errors_m / new_m) ** 2).round(4).tolist(),
    }
    evidence = (
        f"{len(errors_m)} fixes of {len(flown)} flights ({', '.join(f.name for f in flown)}),"
        f" bundle version {bundle.manifest.bundle_version}; mean NEES/2 {figures['half_nees']:.2f};"
        f" alignment at the {CAUTIOUS:.0%} quantile over resampled pieces of {PIECE_S:g} s"
    )
    entry = before.model_copy(update={"alignment_m": alignment_m, "evidence": evidence})
    _publish(bundle, entry, out)
    return {"bundle": str(out), **figures}


def _enough(
    flown: Sequence[Flight], errors_m: Floats, stated_m: Floats
) -> list[tuple[Floats, Floats]]:
    """The pieces of flights that can tell.

    Raises:
        DataError: they cannot.
    """
    wrong = int(metrics.wrong_fixes(errors_m, stated_m, WRONG_LIMIT_M).sum())
    if wrong:
        raise DataError(f"{wrong} of {len(errors_m)} fixes are wrong: to be mended, not calibrated")
    pieces = _pieces(flown)
    if len(errors_m) < LEAST_FIXES or len(pieces) < LEAST_PIECES:
        raise DataError(
            f"{len(errors_m)} fixes in {len(pieces)} pieces of {PIECE_S:g} s:"
            f" at least {LEAST_FIXES} in {LEAST_PIECES} needed"
        )
    return pieces


def _row(row: dict[str, Any]) -> tuple[float, float, float]:
    return row["t_capture_ns"] * _NS, row["error_m"], row["fix"]["horiz_accuracy_m"]


def _pieces(flights: Sequence[Flight]) -> list[tuple[Floats, Floats]]:
    """Errors and stated accuracies of every stretch of a flight that had any."""
    found = []
    for flight in flights:
        piece = np.floor((flight.t_s - flight.t_s.min()) / PIECE_S)
        for number in np.unique(piece):
            inside = piece == number
            found.append((flight.errors_m[inside], flight.stated_m[inside]))
    return found


def _cautious_m(pieces: Sequence[tuple[Floats, Floats]], before_m: float) -> float:
    """The error of alignment by which resampled flights are honest, at their cautious end."""
    rng = np.random.default_rng(5)
    found_m = []
    for _ in range(RESAMPLED):
        drawn = [pieces[k] for k in rng.integers(0, len(pieces), len(pieces))]
        errors_m, stated_m = (np.concatenate(column) for column in zip(*drawn, strict=True))
        found_m.append(_honest_m(errors_m, stated_m, before_m))
    return round(float(np.quantile(found_m, CAUTIOUS)), 3)


def _honest_m(errors_m: Floats, stated_m: Floats, before_m: float) -> float:
    """The least error of alignment with a mean NEES/2 of at most 1, by halving."""
    low_m, high_m = 0.0, MOST_M
    if _half_nees(errors_m, _restated(stated_m, before_m, low_m)) <= 1.0:
        return low_m
    for _ in range(40):
        middle_m = (low_m + high_m) / 2.0
        if _half_nees(errors_m, _restated(stated_m, before_m, middle_m)) <= 1.0:
            high_m = middle_m
        else:
            low_m = middle_m
    return high_m


def _restated(stated_m: Floats, before_m: float, after_m: float) -> Floats:
    """The accuracies with another error of alignment than the one they were made with."""
    rest = np.maximum(stated_m**2 - before_m**2, 1e-6)
    return np.asarray(np.sqrt(rest + after_m**2))


def _half_nees(errors_m: Floats, stated_m: Floats) -> float:
    return float(np.mean((errors_m / stated_m) ** 2) / 2.0)


def _publish(bundle: Bundle, accuracy: AccuracyEntry, out: Path) -> None:
    """The bundle again, whole or not at all, with what it now knows about itself."""
    temporary = out.with_name(f"{durable.TEMPORARY_PREFIX}{out.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(bundle.path, temporary)
    (temporary / SIGNATURE).unlink(missing_ok=True)
    version = bundle.manifest.bundle_version + 1
    update = {"accuracy": accuracy, "bundle_version": version}
    write_manifest(temporary, bundle.manifest.model_copy(update=update))
    durable.publish_folder(temporary, out)
