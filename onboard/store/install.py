"""`geobridge install`: bundles come aboard.

    signature, manifest, version    before anything is copied
    copy                            into the slot that does not fly, hashed on the way
    probe                           in a process of its own
    slot                            whole under its name, and in the state: ready
    activation                      disarmed and on the ground: on trial from the next start on

A cut after any step leaves the bundle that flew before.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from ..config import RunConfig, load
from ..errors import BundleError, ConfigError
from ..trust import Trust
from .downgrade import check_downgrade
from .ground import why_not_on_the_ground
from .intake import Arrived, take_in
from .probe import probe
from .sources import open_source
from .state import Slot, SlotEntry, State, other
from .status import store_of, told
from .store import DAEMON, Store

MAX_STEP = 100_000
"""From the newest version to the next one: whoever jumps farther could never be followed."""
MAX_FIRST = 1_000_000_000

log = logging.getLogger(__name__)


def install(
    bundle: Path, config: Path, downgrade: Path | None = None, on_the_bench: bool = False
) -> dict[str, Any]:
    """Bring a bundle into the store of a configuration and let it fly from the next start on.

    Args:
        bundle: a folder, or a tar of one.
        config: TOML of the daemon: whose bundles fly, the store, engine and link.
        downgrade: a signed word that this older bundle may come.
        on_the_bench: there is no autopilot to say so, but the vehicle is on the ground.

    Raises:
        BundleError: why it does not come in; what flew before goes on flying.
        SystemExit: with 1: it is in its slot, and waits: the vehicle is not known to be on the
            ground.
        ConfigError: a configuration without a store, or one that trusts nobody.
    """
    settings = load(RunConfig, config)
    store = store_of(settings, config)
    trust = Trust.of_device(settings.trusted_keys, settings.trust)
    if trust is None:
        raise ConfigError(f"{config}: trusted_keys: a store takes signed bundles alone")
    with store.installing():
        slot = _brought_in(store, bundle, trust, settings, downgrade)
        if store.state().active != slot:
            _activate_on_the_ground(store, slot, settings, on_the_bench)
    return told(store)


def _activate_on_the_ground(
    store: Store, slot: Slot, settings: RunConfig, on_the_bench: bool
) -> None:
    """No word that it is on the bench overrules a daemon that flies."""
    is_said = on_the_bench and not store.is_held(DAEMON)
    reason = None if is_said else why_not_on_the_ground(store, settings.link)
    if reason is not None:
        text = "%s: slot %s is ready and does not fly yet: %s; the same command activates it"
        log.error(text, store.path, slot, reason)
        raise SystemExit(1)
    store.change(lambda state: activated(state, slot))


def activated(state: State, slot: Slot) -> State:
    """The bundle of a slot flies from the next start on, on trial if it never proved itself."""
    entry = state.slots[slot]
    if entry.standing != "good":
        state = state.with_slot(slot, standing="trial")
    day = time.strftime("%Y-%m-%d", time.gmtime())
    changes = {
        "active": slot,
        "trial_starts": 0,
        "newest_version": max(state.newest_version, entry.bundle_version),
        "why": f"installed as version {entry.bundle_version} on {day}",
    }
    return state.model_copy(update=changes)


def check_version(
    state: State, arrived: Arrived, trust: Trust, downgrade: Path | None = None
) -> None:
    """Newer than anything before, and not so much that nothing could follow; or the newest again,
    where it went bad.

    Raises:
        BundleError: none of them, and no signed word lets it come.
    """
    if trust.list_version < state.list_version:
        raise BundleError(
            f"trust.key_list: version {trust.list_version}, and {state.list_version} was seen"
        )
    version, newest = arrived.manifest.bundle_version, state.newest_version
    where = f"{arrived.where}: bundle_version {version}"
    is_again = version == newest and any(
        arrived.is_in(entry) and entry.standing == "bad" for entry in state.slots.values()
    )
    if version <= newest and not is_again:
        if downgrade is None:
            raise BundleError(
                f"{where}: {newest} was installed before; pack with"
                f" --bundle-version {newest + 1}, or sign with --downgrade-from {newest}"
            )
        check_downgrade(downgrade, arrived.raw, newest, trust)
    most = newest + MAX_STEP if newest else MAX_FIRST
    if version > most:
        raise BundleError(f"{where}: at most {most} can follow {newest}")


def _brought_in(
    store: Store, bundle: Path, trust: Trust, settings: RunConfig, downgrade: Path | None
) -> Slot:
    """The slot in which the bundle lies, whole and probed; it may have been there already."""
    state, slot = store.state(), other(store.state().active)
    there: list[Slot] = []

    def accept(arrived: Arrived) -> bool:
        there.extend(
            each
            for each, entry in state.slots.items()
            if arrived.is_in(entry) and entry.standing != "bad"
        )
        if there[:1] != [state.active]:
            check_version(state, arrived, trust, downgrade)
        if not there:
            _check_replaceable(store, state, slot)
            store.clear()
        return not there

    with open_source(bundle) as source:
        arrived = take_in(source, store.partial(slot), trust, accept)
    if there:
        return there[0]
    log.info("version %d came in; trying it out", arrived.manifest.bundle_version)
    retrieve = settings.localizer.retrieve
    try:
        probe(store.partial(slot), retrieve.engine, retrieve.precision, retrieve.plans)
    except BaseException:
        store.clear()
        raise
    entry = SlotEntry(
        bundle_version=arrived.manifest.bundle_version,
        manifest_sha256=arrived.sha256,
        signed_by=arrived.signer.fingerprint,
        standing="ready",
        why=f"from {bundle}",
    )
    _put(store, slot, entry, trust.list_version)
    return slot


def _put(store: Store, slot: Slot, entry: SlotEntry, list_version: int) -> None:
    """The slot's old bundle is forgotten before it goes, the new one told of once it is there."""
    store.change(lambda state: emptied(state, slot, entry))
    store.put(slot)
    store.change(
        lambda state: state.model_copy(
            update={"slots": {**state.slots, slot: entry}, "list_version": list_version}
        )
    )


def emptied(state: State, slot: Slot, coming: SlotEntry) -> State:
    """A slot of which nothing is told, unless the same bundle comes again: it is bad until then,
    and is known if that is cut off."""
    there = state.slots.get(slot)
    if there is None or there.manifest_sha256 == coming.manifest_sha256:
        return state
    others = {each: entry for each, entry in state.slots.items() if each != slot}
    return state.model_copy(update={"slots": others})


def _check_replaceable(store: Store, state: State, slot: Slot) -> None:
    """The slot that does not fly may be written over.

    Raises:
        BundleError: it is still needed.
    """
    if store.is_held(f"{slot}.lock"):
        raise BundleError(
            f"{store.path}: the daemon still flies slot {slot}; restart it, then install"
        )
    if state.standing(state.active) == "trial" and state.standing(slot) == "good":
        raise BundleError(
            f"{store.path}: slot {state.active} is still on trial, and slot {slot} is what it would"
            " fall back to; let the daemon run for two minutes, then install"
        )
