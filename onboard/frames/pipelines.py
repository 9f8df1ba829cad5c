"""GStreamer pipelines that end in the one sink all of them share: newest frame, no queue."""

from __future__ import annotations

SINK = "appsink drop=true max-buffers=1 sync=false"
"""As OpenCV takes it; `sync=false` hands a frame over as soon as it is there."""
TO_BGR = "videoconvert ! video/x-raw,format=BGR"


def csi(sensor: int, width_px: int, height_px: int, rate_hz: float) -> str:
    """A camera on the CSI port of a Jetson, through its image processor."""
    caps = f"width={width_px},height={height_px},framerate={_rate(rate_hz)}"
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM),{caps}"
        f" ! nvvidconv ! video/x-raw,format=BGRx ! {TO_BGR} ! {SINK}"
    )


def v4l2(device: str, width_px: int, height_px: int, rate_hz: float) -> str:
    """A V4L2 camera in raw pictures; `do-timestamp=false` keeps the kernel's time stamps."""
    caps = f"width={width_px},height={height_px},framerate={_rate(rate_hz)}"
    return f"v4l2src device={device} do-timestamp=false ! video/x-raw,{caps} ! {TO_BGR} ! {SINK}"


def own(pipeline: str) -> str:
    """A pipeline of the user's own that ends in pictures of any format."""
    return f"{pipeline} ! {TO_BGR} ! {SINK}"


def _rate(rate_hz: float) -> str:
    """A fraction as GStreamer takes it: 29.97 is 2997/100."""
    hundredths = round(rate_hz * 100)
    return f"{hundredths // 100}/1" if hundredths % 100 == 0 else f"{hundredths}/100"
