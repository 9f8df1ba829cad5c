"""`geobridge status`: what a store holds, what flies, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..config import RunConfig, load
from ..errors import ConfigError
from .store import DAEMON, FLIGHT, Store


def status(config: Path) -> dict[str, Any]:
    """What the store of a configuration holds, what flies, and why."""
    return told(store_of(load(RunConfig, config), config))


def told(store: Store) -> dict[str, Any]:
    """The state of a store, for people."""
    state = store.state()
    facts: dict[str, Any] = {
        "store": str(store.path),
        "active": f"slot {state.active}" if state.active else "none",
        "why": state.why,
        "newest version": state.newest_version,
        "key list": state.list_version or "none",
        "daemon": _daemon(store),
    }
    if state.standing(state.active) == "trial":
        facts["starts on trial"] = state.trial_starts
    for slot, entry in sorted(state.slots.items()):
        facts[f"slot {slot}"] = (
            f"version {entry.bundle_version}, {entry.standing}, signed by {entry.signed_by}"
            f" ({entry.why}); manifest {entry.manifest_sha256[:16]}"
        )
    return facts


def store_of(settings: RunConfig, where: Path) -> Store:
    """The store of a configuration.

    Raises:
        ConfigError: its bundle is a folder of its own.
    """
    store = Store.named(settings.bundle)
    if store is None:
        raise ConfigError(f"{where}: bundle: expected store:FOLDER, found {settings.bundle}")
    return store


def _daemon(store: Store) -> str:
    if not store.path.is_dir() or not store.is_held(DAEMON):
        return "not running"
    return "running, " + (
        "armed, in the air, or not heard" if store.is_held(FLIGHT) else "disarmed and on the ground"
    )
