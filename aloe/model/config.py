"""The sizes and settings of a model."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax.core import FrozenDict

from aloe.attention import FORMS
from aloe.errors import InputError

ARCHITECTURES = ("transformer", "hierarchical", "mlp", "lstm")
DTYPES = ("bfloat16", "float32")
LOOPS = ("auto", "scan", "unrolled")
MASK_TOKENS = ("zero", "learned")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """What `Aloe` is built from. Raises InputError, naming the field, if a value is invalid.

    Attributes:
      architecture: that of the tower, see `aloe.model.tower`.
      layers, heads: those of the tower; a transformer's width is heads · (latent + 2), others have no heads.
      layers_within_frames: how many of the layers belong to the first transformer of "hierarchical"; 0 for half.
      latent: numbers per object; a token is latent + 2 wide, including two modality bits.
      slots, frames: objects per frame, and frames per video.
      outputs: answer size of each head, by the head's name.
      vocabulary: number of word ids, of which id 0 is padding; 0 for tasks without words.
      words: words per sequence; 0 for tasks without words. Required only by "mlp", whose weights are tied to positions.
      hidden: width of the hidden layer of a transformer's feed-forward parts, of the layers of "mlp", and of each
        direction of "lstm".
      head_hidden: width of the hidden layer of the heads.
      relative_form: form of the position logits, see `aloe.attention`.
      mask_token: what replaces a hidden object: its latent times 0 (paper, section 2.1), or a learned token.
      infill: whether there is a linear map f from outputs to latents, for the auxiliary loss (paper, section 2.1).
      dropout: rate during training.
      dtype: type of the computation; parameters, LayerNorm statistics, softmax and logits are always float32.
      loop: how a transformer's layers run: "scan", as a compiler loop, which compiles faster; "unrolled", which runs a
        third faster on a GPU; "auto" picks "unrolled" on GPUs and "scan" elsewhere. Parameters are the same.
      remat: whether the backward pass recomputes the activations of each layer, to save memory; ignored by "mlp", which
        has next to none.
    """

    layers: int
    heads: int
    latent: int
    slots: int
    frames: int
    outputs: Mapping[str, int]
    architecture: str = "transformer"
    layers_within_frames: int = 0
    vocabulary: int = 0
    words: int = 0
    hidden: int = 1024
    head_hidden: int = 128
    relative_form: str = "bidirectional"
    mask_token: str = "zero"
    infill: bool = True
    dropout: float = 0.1
    dtype: str = "bfloat16"
    loop: str = "auto"
    remat: bool = False

    def __post_init__(self) -> None:
        for field in ("layers", "heads", "latent", "slots", "frames", "hidden", "head_hidden"):
            _check_count(field, getattr(self, field), least=1)
        for field in ("vocabulary", "words", "layers_within_frames"):
            _check_count(field, getattr(self, field), least=0)
        if not isinstance(self.outputs, Mapping) or not self.outputs:
            raise InputError(f"model.outputs is {self.outputs!r}; give every head's answer size, as {{'answer': 22}}")
        for head, size in self.outputs.items():
            _check_count(f"outputs.{head}", size, least=1)
        object.__setattr__(self, "outputs", FrozenDict(self.outputs))  # hashable, as a static part of the model must be

        for field, choices in (
            ("architecture", ARCHITECTURES),
            ("relative_form", FORMS),
            ("mask_token", MASK_TOKENS),
            ("dtype", DTYPES),
            ("loop", LOOPS),
        ):
            if getattr(self, field) not in choices:
                raise InputError(f"model.{field} is {getattr(self, field)!r}; give one of {', '.join(choices)}")
        for field in ("infill", "remat"):
            if not isinstance(getattr(self, field), bool):
                raise InputError(f"model.{field} is {getattr(self, field)!r}; give True or False")
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, (int, float)) or not 0 <= self.dropout <= 0.9:
            raise InputError(f"model.dropout is {self.dropout!r}; give a rate from 0 to 0.9")
        if self.vocabulary and self.latent < 3:
            raise InputError(f"model.latent is {self.latent}; words need at least 3, of which two are their tags")
        if self.architecture == "hierarchical" and not 0 < self.first_layers < self.layers:
            raise InputError(
                f"model.layers_within_frames is {self.layers_within_frames} of model.layers, {self.layers}; each of "
                "the two transformers of a hierarchical model needs one: give more layers, or fewer within frames"
            )
        if self.architecture == "mlp" and self.vocabulary and not self.words:
            raise InputError(f"model.words is {self.words}; an mlp needs to know how many words a sequence has")
        if self.architecture in ("transformer", "hierarchical") and self.width % 2:
            raise InputError(
                f"model.heads is {self.heads} and model.latent {self.latent}, so the width {self.heads}·({self.latent} "
                f"+ 2) = {self.width} is odd; make one of them even: half of the position encodings are sines"
            )

    @property
    def token(self) -> int:
        """Width of a token before the transformer, and of an attention head: the latent and two modality bits."""
        return self.latent + 2

    @property
    def width(self) -> int:
        """Width E of a transformer."""
        return self.heads * self.token

    @property
    def first_layers(self) -> int:
        """How many of the layers belong to the first transformer of "hierarchical"."""
        return self.layers_within_frames or self.layers // 2

    @property
    def tokens(self) -> int:
        """Length T of a sequence, if `words` is set: CLS, words, objects."""
        return 1 + self.words + self.frames * self.slots

    @property
    def scanned(self) -> bool:
        """Whether a transformer's layers run as a compiler loop on this machine's devices."""
        return self.loop == "scan" or (self.loop == "auto" and jax.default_backend() != "gpu")

    @property
    def compute_dtype(self) -> Any:
        return jnp.dtype(self.dtype)

    @property
    def matmul_precision(self) -> str | None:
        """Makes float32 mean float32 on devices whose matrix units would otherwise round its products to fewer bits."""
        return "highest" if self.dtype == "float32" else None


def _check_count(field: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"model.{field} is {value!r}; give a whole number of at least {least}")
