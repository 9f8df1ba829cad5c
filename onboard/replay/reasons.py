"""Why nothing was said, in words for the pilot, and what kind of reason each is."""

from __future__ import annotations

from ..daemon.states import State
from ..records import Reason

FAMILIES = {
    "picture": "the picture was not believed",
    "telemetry": "attitude, height or time were missing",
    "unseen": "the map was not recognised",
    "contradiction": "something contradicted it",
    "earning": "not yet confirmed by later frames",
}
"""Kinds of reasons, each with a colour of its own."""

EXPLAINED: dict[Reason, tuple[str, str]] = {
    Reason.BAD_IMAGE: ("picture", "The picture could not be used."),
    Reason.WRONG_SIZE: ("picture", "The picture is not of the size that the camera is set to."),
    Reason.BLACK: ("picture", "The picture is dark: night, a cap, or no signal."),
    Reason.OVEREXPOSED: ("picture", "The picture is white: sun, cloud, or exposure."),
    Reason.BLURRED: ("picture", "The picture shows hardly any detail: motion, haze, or water."),
    Reason.TORN: ("picture", "A part of the picture is from another moment."),
    Reason.FROZEN: ("picture", "The picture stood still while the vehicle moved."),
    Reason.NO_ATTITUDE: ("telemetry", "The autopilot did not say how the vehicle lay."),
    Reason.NO_HEIGHT: ("telemetry", "The height above ground was not known."),
    Reason.STALE_TELEMETRY: ("telemetry", "The autopilot had been silent around the exposure."),
    Reason.OUT_OF_ORDER: ("telemetry", "The frame is older than the one before."),
    Reason.TILTED: ("telemetry", "The camera looked too far ahead for the ground to be seen."),
    Reason.TOO_LITTLE_GROUND: ("telemetry", "The frame shows too little ground to compare."),
    Reason.BAD_DESCRIPTOR: ("picture", "The encoder gave nothing that can be used."),
    Reason.OUT_OF_AREA: ("unseen", "The map has nothing where the vehicle should be."),
    Reason.LOW_SCORE: ("unseen", "No place of the map looks enough like the picture."),
    Reason.NOT_VERIFIED: ("unseen", "The picture fits no place of the map well enough."),
    Reason.SCATTERED: ("contradiction", "Parts of the picture do not agree where it was taken."),
    Reason.AMBIGUOUS: ("contradiction", "Another place fits about as well."),
    Reason.IMPLAUSIBLE: ("contradiction", "It would need another heading or height than told."),
    Reason.INCONSISTENT: ("contradiction", "It is not where motion since the last fix leads."),
    Reason.DOUBTFUL: ("contradiction", "The track had lived on weak evidence for too long."),
    Reason.UNCONFIRMED: ("earning", "A position must be earned: several frames have to agree."),
}
"""The family of every reason, and a sentence."""

STATE_FAMILIES = {
    State.TRACK: "fix",
    State.DEGRADED: "unseen",
    State.ACQUIRE: "earning",
    State.NO_FIX: "contradiction",
}
"""States that a replay knows, and their colours."""
