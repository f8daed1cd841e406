"""MONet trains on the videos of another task, `config.data.source`, whose files.py and masks.py read them.

No split has labels to hide: all can be scored.
"""

SPLITS = ("train", "validation", "test")
UNLABELLED: tuple[str, ...] = ()
