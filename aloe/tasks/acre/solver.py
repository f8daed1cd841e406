"""The answer that follows from the context panels: the machine lights up if any object on it is a blicket."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

INACTIVATED, UNDETERMINED, ACTIVATED = range(3)


class Panel(NamedTuple):
    """The objects on the machine, and whether it is lit."""

    objects: tuple[int, ...]
    lit: bool


def label(context: Sequence[Panel], objects: Collection[int]) -> int:
    """Whether the machine would light up: ACTIVATED or INACTIVATED if every explanation of the context agrees.

    No object on an unlit machine is a blicket; of the other objects on a lit one, the candidates, at least one is. So a
    query of known non-blickets is never lit, and one with all candidates of a lit panel always is; else both can be.
    """
    unlit = dark(context)
    if unlit.issuperset(objects):
        return INACTIVATED
    return ACTIVATED if any(each.issubset(objects) for each in candidates(context)) else UNDETERMINED


def dark(context: Sequence[Panel]) -> set[int]:
    """The objects known not to be blickets, because an unlit panel shows them."""
    return {one for panel in context if not panel.lit for one in panel.objects}


def candidates(context: Sequence[Panel]) -> list[set[int]]:
    """For each lit panel, the objects that may have lit it; an empty set means a contradictory context."""
    unlit = dark(context)
    return [set(panel.objects) - unlit for panel in context if panel.lit]
