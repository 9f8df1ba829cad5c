"""One question about one place: three pictures and what to do with them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from geobridge.onboard.errors import DataError
from geobridge.onboard.records import Image

SYSTEM = (
    "You describe a place so that it can be recognised from the ground, from a drone and from a"
    " satellite alike. You are given pictures of one and the same place. Combine what they show."
    " Write one plain paragraph in English of 20 to 50 words. Name only what stays for years and"
    " can be seen from above and from the ground: kinds of buildings, roads and how they meet,"
    " water, railways, vegetation, sports grounds, landmarks, and how they lie to each other."
    " Do not name vehicles, people, shadows, light, weather, season or the sky. Do not speak of"
    " pictures, views or cameras. Do not use compass directions, left or right. If you are not"
    " sure that something is there, leave it out."
)
TOLD = {"drone": "from a drone, straight down", "satellite": "from a satellite", "street": "from"
        " the street"}  # fmt: skip
JPEG_QUALITY = 85


@dataclass(frozen=True)
class Question:
    """The messages of a request, and what it is known by: the digest of all that was asked."""

    messages: list[dict[str, Any]]
    key: str


def question(
    pictures: Mapping[str, Image],
    picture_px: int,
    variant: int,
    known: Sequence[str] | None,
    wrong: Sequence[tuple[str, Sequence[str]]],
    asked_of: str,
) -> Question:
    """What to send.

    Args:
        pictures: by view.
        picture_px: height of what is sent.
        variant: 1 asks for a text unlike the first.
        known: kinds of things that the map has there, None without a map.
        wrong: earlier answers and what was wrong with each.
        asked_of: the model and all that its answer depends on besides.
    """
    content: list[dict[str, Any]] = []
    digests = []
    for view, told in TOLD.items():
        if view in pictures:
            data = _jpeg(pictures[view], picture_px)
            digests.append(hashlib.sha256(data).hexdigest())
            url = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
            content.append({"type": "text", "text": f"The place {told}:"})
            content.append({"type": "image_url", "image_url": {"url": url}})
    content.append({"type": "text", "text": _instructions(variant, known)})
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": content},
    ]
    for text, complaints in wrong:
        messages.append({"role": "assistant", "content": text})
        again = f"That cannot be used: {'; '.join(complaints)}. Write it again without that."
        messages.append({"role": "user", "content": again})
    said = [m if isinstance(m["content"], str) else _instructions(variant, known) for m in messages]
    told = json.dumps([asked_of, digests, said], sort_keys=True)
    return Question(messages, hashlib.sha256(told.encode()).hexdigest())


def _instructions(variant: int, known: Sequence[str] | None) -> str:
    text = "Describe the place."
    if variant:
        text = "Describe the place, beginning with what lies at its edge rather than in its middle."
    if known:
        text += f" A map has there: {', '.join(known)}. Name nothing that contradicts it."
    return text


def _jpeg(image: Image, height_px: int) -> bytes:
    if image.shape[0] > height_px:
        width_px = max(1, round(image.shape[1] * height_px / image.shape[0]))
        image = np.asarray(cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA))
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise DataError("a picture cannot be encoded")
    return bytes(data.tobytes())
