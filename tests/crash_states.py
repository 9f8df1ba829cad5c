"""What a power cut may leave of a folder in which somebody writes.

A watch over the file system notes, while some code runs, what changes under a folder and what is
synced. From that every state is made up that a cut after any step may leave, by these rules:

- the content of a file that was not synced since it was written may be that of the last sync
  (nothing, for a new file), its first half, zeros, or all of it;
- a change of a folder's names that was not followed by a sync of the folder may have happened or
  not, each by itself; a rename, or an exchange of two names, happens as a whole or not at all.

Where there are too many combinations, some are drawn: none, all, each one alone, all but each one.
"""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

from geobridge.onboard import durable

Tree = dict[str, bytes | None]
"""Files by their path below the folder, with their content; None is a folder."""
ROOT = 0
_CALLS = ("rename", "replace", "unlink", "remove", "rmdir", "mkdir", "link")


@dataclass(frozen=True)
class Wrote:
    """A file has another content."""

    file: int
    content: bytes


@dataclass(frozen=True)
class Named:
    """Names of folders have changed, all at once: (folder, name) to what they stand for now."""

    changes: tuple[tuple[tuple[int, str], int | None], ...]


@dataclass(frozen=True)
class Synced:
    """A file's content, or a folder's names."""

    node: int


@dataclass
class Watch:
    """Steps as they happened; `contents` are of files and folders by number, None of folders."""

    folder: Path
    steps: list[Wrote | Named | Synced] = field(default_factory=list)
    contents: dict[int, bytes | None] = field(default_factory=dict)
    names: dict[tuple[int, str], int] = field(default_factory=dict)
    _numbers: dict[int, int] = field(default_factory=dict)
    _count: int = ROOT

    def __post_init__(self) -> None:
        self.look()
        self.first = dict(self.contents), dict(self.names)
        self.steps.clear()

    def look(self, *, at_once: bool = False) -> None:
        """Compare the folder with what was known, and note the steps between."""
        found: dict[tuple[int, str], int] = {}
        contents: dict[int, bytes | None] = {}
        present: dict[int, int] = {}
        self._walk(self.folder, found, contents, present)
        for inode in set(self._numbers) - set(present):
            del self._numbers[inode]
        changes = [
            (key, found.get(key))
            for key in sorted({*self.names, *found})
            if self.names.get(key) != found.get(key)
        ]
        wrote = [
            Wrote(node, content)
            for node, content in contents.items()
            if content is not None and self.contents.get(node, b"") != content
        ]
        self.steps += [Named(tuple(changes))] if at_once and changes else []
        self.steps += [] if at_once else [Named((change,)) for change in changes]
        self.steps += wrote
        self.names, self.contents = found, {**self.contents, **contents}

    def synced(self, handle: int) -> None:
        """A handle was synced."""
        number = self._numbers.get(os.fstat(handle).st_ino)
        if number is not None:
            self.steps.append(Synced(number))

    def _walk(self, folder: Path, found: Any, contents: Any, present: Any) -> None:
        above = self._number(folder.stat().st_ino, present)
        contents[above] = None
        for path in sorted(folder.iterdir()):
            status = path.lstat()
            node = self._number(status.st_ino, present)
            found[above, path.name] = node
            if stat.S_ISDIR(status.st_mode):
                self._walk(path, found, contents, present)
            else:
                contents[node] = path.read_bytes()

    def _number(self, inode: int, present: dict[int, int]) -> int:
        if inode not in self._numbers:
            self._numbers[inode] = self._count
            self._count += 1
        present[inode] = self._numbers[inode]
        return self._numbers[inode]


@contextmanager
def watched(folder: Path) -> Iterator[Watch]:
    """Note what happens in a folder."""
    watch, originals = Watch(folder), {name: getattr(os, name) for name in _CALLS}
    fsync, exchange = os.fsync, durable.exchange

    def noting(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            watch.look()
            done = original(*arguments, **more)
            watch.look(at_once=True)
            return done

        return call

    def synced(handle: int) -> None:
        watch.look()
        fsync(handle)
        watch.synced(handle)

    calls: dict[str, Any] = {name: noting(each) for name, each in originals.items()}
    with (
        patch.multiple(os, **calls, fsync=synced),
        patch.object(durable, "exchange", noting(exchange)),
    ):
        yield watch
    watch.look()


def states(watch: Watch, most: int = 200, seed: int = 0) -> Iterator[tuple[int, Tree]]:
    """Every different state that a cut may leave, and after how many steps; drawn beyond `most`
    for each step."""
    drawn, seen = random.Random(seed), set[int]()
    for count in range(len(watch.steps) + 1):
        for tree in _after(watch, count, most, drawn):
            key = hash(frozenset(tree.items()))
            if key not in seen:
                seen.add(key)
                yield count, tree


def ends(watch: Watch, most: int = 200) -> list[Tree]:
    """What a cut may leave after all was done."""
    return list(_after(watch, len(watch.steps), most, random.Random(0)))


def laid(tree: Tree, folder: Path) -> Path:
    """The state as a folder."""
    folder.mkdir()
    for path in sorted(tree):
        content = tree[path]
        if content is None:
            (folder / path).mkdir(parents=True, exist_ok=True)
        else:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    return folder


def _after(watch: Watch, count: int, most: int, drawn: random.Random) -> Iterator[Tree]:
    contents, names = dict(watch.first[0]), dict(watch.first[1])
    pending: dict[int, bytes] = {}
    changes: list[Named] = []
    for step in watch.steps[:count]:
        if isinstance(step, Wrote):
            pending[step.file] = step.content
        elif isinstance(step, Named):
            changes.append(step)
        elif step.node in pending:
            contents[step.node] = pending.pop(step.node)
        else:
            done = [each for each in changes if any(key[0] == step.node for key, _ in each.changes)]
            changes = [each for each in changes if each not in done]
            _apply(names, done)
    files = sorted(pending)
    ways = [_contents(contents.get(file) or b"", pending[file]) for file in files]
    combinations = list(_some(product(*map(range, map(len, ways))), [len(w) for w in ways], most))
    subsets = list(_some(product(*[range(2)] * len(changes)), [2] * len(changes), most))
    pairs = [(one, other) for one in subsets for other in combinations]
    for subset, combination in drawn.sample(pairs, most) if len(pairs) > most else pairs:
        now = dict(names)
        _apply(now, [each for each, is_done in zip(changes, subset, strict=True) if is_done])
        there = {**contents}
        for file, way, choice in zip(files, ways, combination, strict=True):
            there[file] = way[choice]
        yield dict(_tree(now, there, watch.contents))


def _contents(before: bytes, after: bytes) -> list[bytes]:
    return list(dict.fromkeys([before, after[: len(after) // 2], bytes(len(after)), after]))


def _some(
    every: Iterator[tuple[int, ...]], sizes: list[int], most: int
) -> Iterator[tuple[int, ...]]:
    total = 1
    for size in sizes:
        total *= size
    if total <= most:
        yield from every
        return
    lowest, highest = [0] * len(sizes), [size - 1 for size in sizes]
    for value in range(max(sizes)):
        yield tuple(min(value, size - 1) for size in sizes)
    for at in range(len(sizes)):
        for base, other in ((lowest, highest), (highest, lowest)):
            yield tuple(other[at] if place == at else each for place, each in enumerate(base))


def _apply(names: dict[tuple[int, str], int], steps: list[Named]) -> None:
    for step in steps:
        for key, node in step.changes:
            if node is None:
                names.pop(key, None)
            else:
                names[key] = node


def _tree(
    names: dict[tuple[int, str], int], contents: dict[int, bytes | None], kinds: dict[int, Any]
) -> Iterator[tuple[str, bytes | None]]:
    def below(node: int, prefix: str, depth: int) -> Iterator[tuple[str, bytes | None]]:
        for (above, name), child in names.items():
            if above != node or depth > 20:
                continue
            if kinds.get(child, b"") is None:
                yield prefix + name, None
                yield from below(child, f"{prefix}{name}/", depth + 1)
            else:
                yield prefix + name, contents.get(child) or b""

    yield from below(ROOT, "", 0)
