"""How the texts of places come about."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from geobridge.onboard.config import NonNegative, Positive, Section


class Captions(Section):
    """`template` writes from OpenStreetMap features and asks nobody; `model` asks any
    OpenAI-compatible endpoint, somebody's service or a vision-language model on this machine."""

    kind: Literal["none", "template", "model"] = "none"
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] = "http://127.0.0.1:8000/v1"
    model: str = ""
    key_env: str = ""
    """Environment variable of the key; empty for an endpoint that wants none."""
    per_place: Literal[1, 2] = 1
    asks: Annotated[int, Field(ge=1, le=10)] = 3
    """So often a text is asked for before the place stays without."""
    picture_px: Annotated[int, Field(ge=64, le=2048)] = 384
    """Side of the pictures that are sent; street panoramas are twice as wide."""
    max_tokens: Annotated[int, Field(ge=16)] = 200
    """Of an answer."""
    temperature: NonNegative = 0.2
    timeout_s: Positive = 60.0
    retries: Annotated[int, Field(ge=0, le=20)] = 5
    """Of an answer that failed: too many requests, server errors, time-outs."""
    rate_per_min: Positive = 60.0
    at_once: Annotated[int, Field(ge=1, le=64)] = 4
    input_price: NonNegative = 0.0
    """Money per million tokens, in whatever currency the budget is."""
    output_price: NonNegative = 0.0
    budget: Positive | None = None
    budget_tokens: Annotated[int, Field(ge=1)] | None = None
    expected_input_tokens: Annotated[int, Field(ge=1)] = 2500
    """Of one request, to say before the first answer what all will cost."""
    map_reach: Annotated[float, Field(ge=0.5, le=3)] = 1.2
    """Features within so many half sides of the square may be named."""
