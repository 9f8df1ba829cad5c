"""Old files make room for new ones."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def make_room(folder: Path, suffix: str, quota_bytes: int) -> list[Path]:
    """Delete the oldest files of a kind until those left take at most half of the quota.

    The other half is for the flight that begins. Files of other kinds are left alone.
    """
    dated = []
    for path in folder.glob(f"*{suffix}"):
        with suppress(OSError):
            found = path.stat()
            dated.append((found.st_mtime_ns, found.st_size, path))
    total_bytes = sum(size for _, size, _ in dated)
    deleted = []
    for _, size, path in sorted(dated):
        if total_bytes <= quota_bytes // 2:
            break
        with suppress(OSError):
            path.unlink()
            deleted.append(path)
            total_bytes -= size
    return deleted
