"""The folder that the authors released: their weights, and their MONet's latents of the videos that have answers.

    <folder>/train/12.npz, <folder>/valid/10012.npz     latents_FxNxD; folders do not matter, indices do
    <folder>/checkpoints/                               a TensorFlow checkpoint of their model (aloe/model/released.py)
    <folder>/vocab.json                                 ids of words and answers, the same as ours (vocabulary.py)

The latents are used as they are: the released model reads them unscaled, at frames 0, 5, …, 120 in evaluation. It draws
a new order of the slots on every call; ours is evaluated in the order of the files, which is one of those orders.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aloe.data.fields import field, read_json, within
from aloe.errors import InputError
from aloe.perception.latent_files import LatentFiles
from aloe.tasks.clevrer import vocabulary
from aloe.tasks.clevrer.annotations import FRAMES

SLOTS, SIZE = 8, 16
CHECKPOINTS = "checkpoints"


def encoder(folder: Path, scene_indices: Sequence[int], workers: int | None = None) -> LatentFiles:
    """Encoder that fills a latents store with the released latents of these videos. Same errors as `LatentFiles`."""
    return LatentFiles(folder, scene_indices, (FRAMES, SLOTS, SIZE), "released", workers)


def check_vocabulary(folder: Path) -> None:
    """Raises InputError if the folder's vocab.json gives a word or answer another id than ours; it may be absent."""
    path = folder / "vocab.json"
    if not path.exists():
        return
    ids = read_json(path)
    with within(path):
        for name, ours in (("question_vocab", vocabulary.WORD_IDS), ("answer_vocab", vocabulary.ANSWER_IDS)):
            _check_ids(name, field(ids, name, dict), ours)


def _check_ids(name: str, theirs: dict[str, Any], ours: dict[str, int]) -> None:
    different = sorted(word for word in theirs.keys() | ours.keys() if theirs.get(word) != ours.get(word))
    if different:
        word = different[0]
        raise InputError(
            f"field {name!r}: {len(different)} words have another id than here, the first {word!r}, which is "
            f"{theirs.get(word)} there and {ours.get(word)} here. A model of this vocabulary cannot be read."
        )
