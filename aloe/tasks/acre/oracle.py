"""The oracle encoder: latents of panels computed from the scene files instead of from pixels.

A control that separates reasoning from perception; it is not a baseline of the paper. Each object, and the machine
where a panel shows it, becomes 17 features: x and y, kind (a shape, or the machine lit or unlit), colour and material.
`aloe.perception.feature_map` turns them into latents.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from aloe.data.parallel import ordered_map
from aloe.errors import InputError
from aloe.perception.feature_map import checksum, place_in_slots, scaled_one_hot
from aloe.tasks.acre import files
from aloe.tasks.acre.objects import COLORS, MATERIALS, SHAPES
from aloe.tasks.acre.problems import PANELS
from aloe.tasks.acre.scenes import Scene, read_panels

SLOTS = 8
SIZE = 36
MACHINES = {"on": "lit machine", "off": "unlit machine"}
KINDS = (*SHAPES, *MACHINES.values())
FEATURES = 2 + len(KINDS) + len(COLORS) + len(MATERIALS)

_VERSION = 1  # bump when the latents change; stores of another version are refused
_POSITION_SCALE = 1.33  # world units; the standard deviation of a uniform distribution from −2.3 to 2.3


def encode(panels: Sequence[Scene], scene_index: int, slots: int = SLOTS, size: int = SIZE) -> np.ndarray:
    """Latents of the panels of one problem, latents_FxNxD in float32, a pure function of the arguments.

    Raises:
      ValueError: `size` is less than FEATURES + 1.
    """
    told = [features(panel) for panel in panels]
    most = max(map(len, told))
    features_FxOxA = np.stack([np.pad(each, [(0, most - len(each)), (0, 0)]) for each in told])
    visible_FxO = np.arange(most) < np.array([len(each) for each in told])[:, None]
    return place_in_slots(features_FxOxA, visible_FxO, slots=slots, size=size, scene_index=scene_index)


def features(panel: Scene) -> np.ndarray:
    """The scaled features of the machine, if present, and of each object, features_Ox17."""
    machine = [MACHINES[panel.light]] if panel.light in MACHINES else []
    nothing = [""] * len(machine)  # the machine has no colour and no material
    position_Ox2 = np.concatenate([np.zeros((len(machine), 2)), panel.location_Ox3[:, :2]]) / _POSITION_SCALE
    return np.concatenate(
        [
            position_Ox2,
            scaled_one_hot(KINDS, machine + [each.shape for each in panel.objects]),
            scaled_one_hot(COLORS, nothing + [each.color for each in panel.objects]),
            scaled_one_hot(MATERIALS, nothing + [each.material for each in panel.objects]),
        ],
        axis=1,
    )


class Encoder:
    """Encodes the problems of a data folder; implements `aloe.perception.fill.Encoder`.

    Attributes:
      description: how the latents store describes its encoder; the checksum is that of the feature map.
      frame_numbers: numbers of the F frames; slots, size: N and D of a problem.
    """

    frame_numbers = range(PANELS)
    slots = SLOTS
    size = SIZE

    def __init__(self, root: Path, workers: int | None = None) -> None:
        self.description = {"name": "oracle", "version": _VERSION, "checksum": checksum(FEATURES, self.size)}
        self._root = root
        self._workers = workers

    def encode(self, scene_indices: Sequence[int]) -> Iterator[np.ndarray | InputError]:
        """Yields each problem's latents in turn, or the error where a scene file is broken or missing."""
        yield from ordered_map(_encode_files, [(self._root, index) for index in scene_indices], self._workers)

    def remarks(self) -> list[str]:
        return []


def _encode_files(problem: tuple[Path, int]) -> np.ndarray | InputError:
    root, scene_index = problem
    try:
        panels = read_panels([files.scene_path(root, scene_index, panel) for panel in range(PANELS)])
        crowded = max(len(panel.objects) + (panel.light in MACHINES) for panel in panels)
        if crowded > SLOTS:
            raise InputError(f"{files.official_name(scene_index)}: a panel shows {crowded} things, more than {SLOTS}")
    except InputError as error:
        return error
    return encode(panels, scene_index)
