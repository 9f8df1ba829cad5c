"""The sky in a direction."""

from __future__ import annotations

import math

from .compiled import compiled
from .day import Light
from .noise import cloud_at

CLOUD_BASE_M = 1500.0


@compiled
def sky_colour(light: Light, dx: float, dy: float, dz: float) -> tuple[float, float, float]:
    """The sky in a direction: deep above, pale at the horizon, bright around the sun, clouds."""
    up = math.sqrt(max(dz, 0.0))
    towards = dx * light.sun_east + dy * light.sun_north + dz * light.sun_up
    glow = max(towards, 0.0) ** 24 * 0.25 * light.sun[0]
    red = light.horizon[0] + (light.zenith[0] - light.horizon[0]) * up + glow
    green = light.horizon[1] + (light.zenith[1] - light.horizon[1]) * up + glow
    blue = light.horizon[2] + (light.zenith[2] - light.horizon[2]) * up + 0.8 * glow
    if light.broken_clouds > 0.0 and dz > 0.02:
        reach = CLOUD_BASE_M / dz
        cloud = cloud_at(dx * reach, dy * reach, light.broken_clouds, light.cloud_seed)
        cloud *= min(1.0, 12.0 * dz)
        white = 0.9 * (light.sky[1] + 0.6 * light.sun[1])
        red, green = red + (white - red) * cloud, green + (white - green) * cloud
        blue += (white - blue) * cloud
    return red, green, blue
