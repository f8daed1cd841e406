"""The sizes of a MONet."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from aloe.errors import InputError
from aloe.model.config import DTYPES

SMALLEST = 16  # pixels: below it, neither the U-Net nor the encoder has anything left to downsample


@dataclasses.dataclass(frozen=True)
class MonetConfig:
    """Settings of `Monet`; the defaults are those of the paper (appendix B) for images of 64 × 64.

    Raises InputError, which names the field, if a value is invalid.

    Attributes:
      size: number of rows, and of columns, of an image: a power of two.
      slots: N.
      latent: D, the latent size of a slot; Aloe takes 16 or 36, depending on the data set.
      attention_width: channels of the first two blocks of the U-Net; the others have twice as many.
      attention_hidden: width of the two hidden layers at the bottom of the U-Net.
      component_width: channels of the decoder, and of the encoder's first two layers; its others have twice as many.
      component_hidden: width of the encoder's hidden layer.
      log_floor: lower bound on the log scopes and masks that are fed to the networks, such as −6; 0 for none, as in the
        paper. Log scopes of −100 and less, beside colours from 0 to 1, are all that survives an instance norm. The
        masks that come out are not clamped.
      dtype: of convolutions and dense layers, except the posterior's; parameters, statistics, masks, latents and losses
        are always float32.
    """

    size: int = 64
    slots: int = 8
    latent: int = 16
    attention_width: int = 32
    attention_hidden: int = 128
    component_width: int = 32
    component_hidden: int = 256
    log_floor: float = 0.0
    dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, least = getattr(self, field.name), 2 if field.name == "slots" else 1
            if field.type is int and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise InputError(f"model.{field.name} is {value!r}; give a whole number of at least {least}")
        if self.size < SMALLEST or self.size.bit_count() != 1:
            raise InputError(f"model.size is {self.size}; give a power of two of at least {SMALLEST}, such as 64")
        if not self.log_floor <= 0:
            raise InputError(f"model.log_floor is {self.log_floor!r}; give a number below 0, such as -6, or 0 for none")
        if self.dtype not in DTYPES:
            raise InputError(f"model.dtype is {self.dtype!r}; give one of {', '.join(DTYPES)}")

    @property
    def blocks(self) -> int:
        """Blocks in each path of the U-Net, down to 4 × 4: five for 64 × 64, six for 128 × 128."""
        return self.size.bit_length() - 2

    def shown(self, log_BxYxX: jax.Array) -> jax.Array:
        """Log scopes or masks as they are fed to the networks, see `log_floor`."""
        return jnp.maximum(log_BxYxX, self.log_floor) if self.log_floor else log_BxYxX

    @property
    def compute_dtype(self) -> Any:
        return jnp.dtype(self.dtype)

    @property
    def matmul_precision(self) -> str | None:
        """Makes float32 mean float32 on devices whose matrix units would round its products to fewer bits."""
        return "highest" if self.dtype == "float32" else None
