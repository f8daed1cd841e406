"""The source of the object latents that Aloe attends to: a latents store, or a ResNet that is trained with it."""

import dataclasses

from ml_collections import ConfigDict

from aloe.errors import InputError

STORED, SUPERPIXELS, MASKED_FRAMES = "stored", "superpixels", "masked_frames"
KINDS = (STORED, SUPERPIXELS, MASKED_FRAMES)


@dataclasses.dataclass(frozen=True)
class PerceptionConfig:
    """Raises InputError, which names the field, if a value is invalid.

    Attributes:
      kind: "stored", latents that an encoder made before; "superpixels" or "masked_frames", see their modules.
      size: number of rows, and of columns, of a frame.
      blocks: blocks of the ResNet, each with two convolutions and half the rows and columns of the one before.
      width: channels of the first block; each further one has twice as many.
    """

    kind: str = STORED
    size: int = 64
    blocks: int = 3
    width: int = 16

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"perception.kind is {self.kind!r}; give one of {', '.join(KINDS)}")
        for name in ("size", "blocks", "width"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"perception.{name} is {value!r}; give a whole number of at least 1")
        if self.size % 2**self.blocks:
            raise InputError(
                f"perception.size is {self.size} and perception.blocks {self.blocks}; each block halves the rows and "
                f"columns, so give a size that divides by {2**self.blocks}, or fewer blocks"
            )

    @property
    def side(self) -> int:
        """Number of rows, and of columns, of the last feature map."""
        return self.size // 2**self.blocks

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the image, then of every block."""
        return 3, *(self.width << block for block in range(self.blocks))


def perception_config(config: ConfigDict) -> PerceptionConfig:
    """The perception settings of a run. Raises InputError if they are invalid."""
    return PerceptionConfig(**{name: config.perception[name] for name in ("kind", "size", "blocks", "width")})
