"""What a store remembers: which slot flies, what each holds, and the newest version ever seen.

Two files, written in turn, each with the digest of its own text: whatever a power cut or a bad
block does to one, the other tells what was true before.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from .. import durable
from ..config_file import Section
from ..errors import BundleError
from ..strict_json import strict_json

Slot = Literal["a", "b"]
Standing = Literal["ready", "trial", "good", "bad"]
"""Of a slot: probed and not yet flown; flown, but not for long; flown; not to be flown."""
MAX_STATE_BYTES = 65_536
FILES = ("state.0", "state.1")


class SlotEntry(Section):
    """What lies in a slot; `why` it is bad, or where it came from."""

    bundle_version: Annotated[int, Field(ge=1)]
    manifest_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    signed_by: str
    standing: Standing
    why: str


class State(Section):
    """All that outlives a power cut; `serial` rises with every change."""

    format_version: Literal[1] = 1
    serial: Annotated[int, Field(ge=0)] = 0
    active: Slot | None = None
    why: str = "nothing was activated yet"
    """Of the active slot: why it is this one."""
    trial_starts: Annotated[int, Field(ge=0)] = 0
    """Starts of the daemon with a bundle on trial that were neither long nor ended in order."""
    newest_version: Annotated[int, Field(ge=0)] = 0
    list_version: Annotated[int, Field(ge=0)] = 0
    slots: dict[Slot, SlotEntry] = Field(default={})

    def with_slot(self, slot: Slot, **changes: object) -> State:
        """Another entry, or the same with changes, in a slot."""
        entry = self.slots[slot].model_copy(update=changes)
        return self.model_copy(update={"slots": {**self.slots, slot: entry}})

    def standing(self, slot: Slot | None) -> Standing | None:
        """Of a slot; None where there is nothing."""
        entry = self.slots.get(slot) if slot else None
        return entry.standing if entry else None


def other(slot: Slot | None) -> Slot:
    """The slot beside."""
    return "b" if slot == "a" else "a"


def read_state(folder: Path) -> State:
    """The newest that is whole; an empty one where nothing was ever written.

    Raises:
        BundleError: both files are damaged: what is the newest version is not known any more.
    """
    found = [_read(folder / name) for name in FILES]
    whole = [state for state in found if state is not None]
    if whole:
        return max(whole, key=lambda state: state.serial)
    if any((folder / name).exists() for name in FILES):
        raise BundleError(f"{folder}: both files of its state are damaged; make a new store")
    return State()


def write_state(folder: Path, state: State) -> State:
    """The state with the next serial, on the disk when this returns; the older file makes room."""
    state = state.model_copy(update={"serial": state.serial + 1})
    serials = [-1 if (each := _read(folder / name)) is None else each.serial for name in FILES]
    text = state.model_dump_json() + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    durable.write_text(folder / FILES[serials.index(min(serials))], f"{text}{digest}\n")
    return state


def _read(path: Path) -> State | None:
    try:
        with path.open("rb") as file:
            text, _, digest = file.read(MAX_STATE_BYTES).removesuffix(b"\n").partition(b"\n")
        if hashlib.sha256(text + b"\n").hexdigest().encode() != digest:
            return None
        strict_json(text)
        return TypeAdapter(State).validate_json(text)
    except (OSError, ValidationError, ValueError):
        return None
