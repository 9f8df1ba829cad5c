"""The folder that keeps bundles on the aircraft, and who may touch what in it.

STORE/state.0 state.1    see `state`
STORE/a  STORE/b         a bundle each, read-only
STORE/.partial-a         one that is coming in, or going; nobody reads it
STORE/install.lock       held by whoever installs
STORE/daemon.lock        held by the daemon, for as long as it runs
STORE/flight.lock        held by the daemon while the vehicle is armed, in the air, or not known to
                         be on the ground
STORE/{a,b}.lock         held by the daemon whose bundle that is
STORE/state.lock         held for the moment in which the state is changed

Locks go with the process that holds them, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import durable
from ..errors import BundleError, ConfigError
from .state import Slot, State, read_state, write_state

SCHEME = "store:"
INSTALL, DAEMON, FLIGHT, STATE = "install.lock", "daemon.lock", "flight.lock", "state.lock"


class Store:
    """A store at a folder, which is made when it is first written to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def named(cls, bundle: str) -> Store | None:
        """That of a configuration's `bundle`; None where this is a folder of its own."""
        if not bundle.startswith(SCHEME):
            return None
        path = Path(bundle.removeprefix(SCHEME)).expanduser()
        if bundle == SCHEME or (os.path.lexists(path) and not path.is_dir()):
            raise ConfigError(f"bundle: expected a folder, or store:FOLDER, found {bundle}")
        return cls(path)

    def slot(self, slot: Slot) -> Path:
        """Where a bundle lies."""
        return self.path / slot

    def partial(self, slot: Slot) -> Path:
        """Where one for this slot is made."""
        return self.path / f"{durable.TEMPORARY_PREFIX}{slot}"

    def state(self) -> State:
        """As it is on the disk."""
        return read_state(self.path)

    def change(self, change: Callable[[State], State]) -> State:
        """The state after a change, once it is on the disk; nobody else changes it meanwhile.

        Raises:
            OSError: it cannot be written; nothing has changed.
        """
        handle = _handle(self.path / STATE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            before = read_state(self.path)
            after = change(before)
            return before if after == before else write_state(self.path, after)
        finally:
            os.close(handle)

    @contextmanager
    def installing(self) -> Iterator[None]:
        """Nobody else installs meanwhile.

        Raises:
            BundleError: somebody does.
            ConfigError: root would install what the daemon, another user, cannot read.
        """
        there = next(each for each in (self.path, *self.path.parents) if each.is_dir())
        owner = there.stat().st_uid
        if os.geteuid() == 0 and owner != 0:
            raise ConfigError(
                f"{there}: belongs to user {owner}, who could not read what root installs;"
                f" sudo -u '#{owner}' {sys.argv[0]} install"
            )
        durable.make_folder(self.path)
        refused = BundleError(f"{self.path}: another installation is under way")
        with durable.held(_handle(self.path / INSTALL), refused):
            yield

    def is_held(self, name: str) -> bool:
        """Whether another process holds a lock of the store; nothing is made by asking."""
        try:
            handle = os.open(self.path / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def clear(self) -> None:
        """Take away what was left half made, or half taken away."""
        for path in self.path.glob(f"{durable.TEMPORARY_PREFIX}*"):
            durable.remove(path)

    def put(self, slot: Slot) -> None:
        """What was made for a slot takes the place of what lies there, of which no state tells."""
        if os.path.lexists(self.slot(slot)):
            self.slot(slot).rename(self.path / f"{durable.TEMPORARY_PREFIX}going-{slot}")
        self.partial(slot).rename(self.slot(slot))
        durable.sync(self.path)
        self.clear()


class Lock:
    """One lock of a store, taken and given back again and again by this process."""

    def __init__(self, path: Path) -> None:
        self._handle = _handle(path)
        self.is_held = False

    def take(self) -> bool:
        """Whether it is ours now; another process may have it."""
        if not self.is_held:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            self.is_held = True
        return True

    def give(self) -> None:
        """Let others have it."""
        if self.is_held:
            fcntl.flock(self._handle, fcntl.LOCK_UN)
            self.is_held = False

    def close(self) -> None:
        """Give it back for good."""
        os.close(self._handle)
        self.is_held = False


def _handle(path: Path) -> int:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS or not path.exists():
            raise
        return os.open(path, os.O_RDONLY | flags)  # a lock needs no writing
