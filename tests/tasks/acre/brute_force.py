"""Labels by definition: tries every assignment of blickets that is consistent with the context."""

import itertools

ACTIVATED, UNDETERMINED, INACTIVATED = 2, 1, 0


def label(context, objects):
    """`context`: (objects, lit) of each panel. Returns None if no assignment of blickets explains it."""
    known = sorted({each for panel, _ in context for each in panel} | set(objects))
    outcomes = set()
    for is_blicket in itertools.product((False, True), repeat=len(known)):
        blickets = {each for each, chosen in zip(known, is_blicket, strict=True) if chosen}
        if all(bool(blickets & set(panel)) == lit for panel, lit in context):
            outcomes.add(bool(blickets & set(objects)))
    if not outcomes:
        return None
    return UNDETERMINED if len(outcomes) == 2 else ACTIVATED if outcomes.pop() else INACTIVATED
