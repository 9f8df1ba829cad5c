"""Whole small inputs that are too long to stand where they are fuzzed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

STORED_YAML = b"""%YAML:1.0
---
image_width: 640
image_height: 480
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 400., 0., 320., 0., 400., 240., 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 1
   cols: 5
   dt: d
   data: [ 0.1, 0., 0., 0., 0. ]
"""
STORED_XML = b"""<?xml version="1.0"?>
<opencv_storage>
<image_width>640</image_width>
<image_height>480</image_height>
<K type_id="opencv-matrix"><rows>3</rows><cols>3</cols><dt>d</dt>
<data>400. 0. 320. 0. 400. 240. 0. 0. 1.</data></K>
<D type_id="opencv-matrix"><rows>1</rows><cols>4</cols><dt>d</dt><data>0. 0. 0. 0.</data></D>
</opencv_storage>
"""


def mbtiles(path: Path) -> bytes:
    """A tile of a colour at the middle of the frame, in small pages."""
    import cv2
    import numpy as np

    tile = cv2.imencode(".png", np.full((16, 16, 3), 99, np.uint8))[1].tobytes()
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA page_size = 512")
        file.execute("CREATE TABLE metadata (name text, value text)")
        file.execute(
            "CREATE TABLE tiles (zoom_level integer, tile_column integer, tile_row integer,"
            " tile_data blob)"
        )
        file.execute("INSERT INTO metadata VALUES ('format', 'png')")
        file.execute("INSERT INTO tiles VALUES (10, 536, 664, ?)", (tile,))
    file.close()
    return path.read_bytes()


def video(path: Path, picture: object) -> bytes:
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (24, 24))
    for _ in range(3):
        writer.write(picture)
    writer.release()
    return path.read_bytes()
