"""One thing that can be said about a place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from .words import number


class Topic(IntEnum):
    """What facts are about, in the order in which they are told."""

    SIGHT = 0
    WAY = 1
    LAND = 2
    TRAIT = 3


@dataclass(frozen=True)
class Fact:
    """A thing with its article; `motion` is the course of a line, `where` an adverbial.

    Facts of greater `weight` tell a place apart better. An `anchor` is what others refer to.
    """

    topic: Topic
    weight: float
    thing: str
    motion: str = ""
    where: str = ""
    plural: bool = False
    anchor: bool = False

    @property
    def phrase(self) -> str:
        """As part of a list."""
        return " ".join(filter(None, (self.thing, self.motion and "running", self._rest)))

    @property
    def clause(self) -> str:
        """As a sentence without its full stop."""
        verb = "run" if self.motion else "lie"
        return " ".join((self.thing, verb if self.plural else verb + "s", self._rest))

    @property
    def _rest(self) -> str:
        return " ".join(filter(None, (self.motion, self.where)))


_SURE = 6
"""More things than this are not counted."""


def counted(topic: Topic, weight: float, count: int, one: str, many: str, where: str = "") -> Fact:
    """So many things: counted while there are few, without a number beyond."""
    if count == 1:
        return Fact(topic, weight, one, where=where)
    thing = f"{number(count)} {many}" if count <= _SURE else many
    return Fact(topic, weight, thing, where=where, plural=True)
