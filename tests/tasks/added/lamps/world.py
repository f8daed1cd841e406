import json
from pathlib import Path
from typing import Any

import numpy as np

from aloe.data.claim import claim
from aloe.errors import InputError
from aloe.tasks.lamps.files import SPLITS

FLAGS: dict[str, dict[str, Any]] = {"dark": {"action": "store_true", "help": "no lamp is lit"}}


def write(
    out: Path,
    videos: int | None,
    *,
    seed: int = 0,
    width: int = 0,
    height: int = 0,
    workers: int | None = None,
    gpu: bool = False,
    draw: bool = True,
    dark: bool = False,
) -> str:
    if videos is None:
        raise InputError("--videos is missing: say how many scenes to make in all, such as --videos=36.")
    claim(out, {"task": "lamps", "seed": seed, "dark": dark}, videos)
    lit_VxFxO = np.random.default_rng(seed).integers(0, 1 if dark else 2, (videos, 2, 3))
    for place, split in enumerate(SPLITS):
        indices = range(place, videos, len(SPLITS))
        scenes = [{"scene_index": index, "lit": lit_VxFxO[index].tolist()} for index in indices]
        (out / f"{split}.json").write_text(json.dumps({"scenes": scenes}))
    return f"{videos} scenes in {out}"
