"""The answer that follows from six panels: the machine lights up if any object on it is a blicket."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

INACTIVATED, UNDETERMINED, ACTIVATED = range(3)


class Panel(NamedTuple):
    """The objects on the machine, and whether it is lit."""

    objects: tuple[int, ...]
    lit: bool


def label(context: Sequence[Panel], objects: Collection[int]) -> int:
    """Whether the machine would light up: ACTIVATED or INACTIVATED if so in every case that fits the context.

    What lies on an unlit machine is no blicket, and of what else lies on a lit one at least one is. So a query with no
    candidate is never lit, and one that has all candidates of a lit panel always is; else both can be.
    """
    unlit = dark(context)
    if unlit.issuperset(objects):
        return INACTIVATED
    return ACTIVATED if any(each.issubset(objects) for each in candidates(context)) else UNDETERMINED


def dark(context: Sequence[Panel]) -> set[int]:
    """The objects that are no blickets, for the machine was unlit with them."""
    return {one for panel in context if not panel.lit for one in panel.objects}


def candidates(context: Sequence[Panel]) -> list[set[int]]:
    """Of each lit panel the objects that can have lit it; an empty set, where there is none, is a contradiction."""
    unlit = dark(context)
    return [set(panel.objects) - unlit for panel in context if panel.lit]
