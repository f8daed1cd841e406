"""MONet trains on the videos of another task, `config.data.source`, whose files.py and masks.py read them.

No split has hidden labels: all can be scored.
"""

SPLITS = ("train", "validation", "test")
UNLABELLED: tuple[str, ...] = ()
