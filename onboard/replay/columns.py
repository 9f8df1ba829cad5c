"""fixes.jsonl as columns: what figures, tracks and pages are made of."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..daemon.states import Facts, State, judge
from ..errors import DataError
from ..records import Reason
from .outcome import number, time_ns

Floats = npt.NDArray[np.float64]
FIX = "fix"
KINDS = (FIX, *(reason.value for reason in Reason))
"""What may become of a frame, by number."""
HOLD_S = 2.0
"""How long a fix serves: after that the daemon tells the autopilot that there is none."""
_FIXED = ("lat_deg", "lon_deg", "horiz_accuracy_m")
_TOLD = ("height_agl_m", "heading_deg", "speed_m_s")
_JUDGED = ("score", "correlation", "peak_ratio", "agreeing", "innovation_sigmas")
NAMES = (*_FIXED, "error_m", "truth_lat_deg", "truth_lon_deg", *_TOLD, *_JUDGED)


@dataclass(frozen=True, eq=False)
class Columns:
    """[N] frames in order: nanoseconds, names, kinds by number, and a table of [N, C] floats by
    `NAMES`, NaN where there is nothing."""

    t_ns: npt.NDArray[np.int64]
    frames: list[str]
    kinds: npt.NDArray[np.uint8]
    has_prior: npt.NDArray[np.bool_]
    table: Floats

    @classmethod
    def read(cls, path: Path) -> Columns:
        """What a replay wrote.

        Raises:
            DataError: names the line that is none of its lines.
        """
        t_ns, frames, kinds, prior, rows = [], [], bytearray(), bytearray(), bytearray()
        try:
            with path.open(encoding="utf-8") as file:
                for text in file:
                    line = json.loads(text)
                    frames.append(str(line["frame"]))
                    kinds.append(_kind(line))
                    prior.append(bool(line.get("told", {}).get("has_prior", False)))
                    rows += np.array(_row(line), float).tobytes()
                    t_ns.append(time_ns(line))
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            where = f"{path}, line {len(t_ns) + 1}"
            raise DataError(f"{where}: not what `geobridge replay` writes") from None
        if not t_ns:
            raise DataError(f"{path}: expected a line per frame, found none")
        return cls(
            np.array(t_ns, np.int64),
            frames,
            np.frombuffer(bytes(kinds), np.uint8),
            np.frombuffer(bytes(prior), np.bool_),
            np.frombuffer(bytes(rows), float).reshape(-1, len(NAMES)),
        )

    @classmethod
    def together(cls, several: Sequence[Columns]) -> Columns:
        """One after the other."""
        return cls(
            np.concatenate([each.t_ns for each in several]),
            [frame for each in several for frame in each.frames],
            np.concatenate([each.kinds for each in several]),
            np.concatenate([each.has_prior for each in several]),
            np.concatenate([each.table for each in several]),
        )

    def of(self, rows: npt.NDArray[np.intp]) -> Columns:
        """Some of the frames."""
        return Columns(
            self.t_ns[rows],
            [self.frames[row] for row in rows],
            self.kinds[rows],
            self.has_prior[rows],
            self.table[rows],
        )

    def __len__(self) -> int:
        return len(self.t_ns)

    def __getitem__(self, name: str) -> Floats:
        """[N] of a name."""
        return np.asarray(self.table[:, NAMES.index(name)])

    @property
    def is_fix(self) -> npt.NDArray[np.bool_]:
        """[N]."""
        return np.asarray(self.kinds == 0)

    @property
    def elapsed_s(self) -> Floats:
        """[N] since the first frame."""
        return np.asarray((self.t_ns - self.t_ns[0]) * 1e-9)

    @cached_property
    def states(self) -> list[State]:
        """[N] in which state the daemon would have been after each frame."""
        found, last_ns = [], None
        for t_ns, kind in zip(self.t_ns.tolist(), self.kinds.tolist(), strict=True):
            last_ns = t_ns if kind == 0 else last_ns
            facts = Facts(
                is_open=True,
                is_tested=True,
                is_giving=last_ns is not None and (t_ns - last_ns) * 1e-9 <= HOLD_S,
                has_given=last_ns is not None,
            )
            found.append(judge(facts)[0])
        return found


def _kind(line: dict[str, Any]) -> int:
    return 0 if FIX in line else KINDS.index(line["rejection"]["reason"])


def _row(line: dict[str, Any]) -> list[float]:
    fix, told = line.get(FIX) or {}, line.get("told") or {}
    judged, truth = line.get("evidence") or {}, line.get("truth") or (None, None)
    lat_deg, lon_deg = truth
    values = [fix.get(name) for name in _FIXED]
    values += [line.get("error_m"), lat_deg, lon_deg]
    values += [told.get(name) for name in _TOLD]
    values += [judged.get(name) for name in _JUDGED]
    numbers = [np.nan if value is None else number(value) for value in values]
    if FIX in line and not all(map(math.isfinite, numbers[: len(_FIXED)])):
        raise ValueError
    return numbers
