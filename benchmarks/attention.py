"""Attention in isolation: throughput over sequence length, for every path, both forms, forward and gradient."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aloe.attention import FORMS, relative_attention
from aloe.progress_bar import progress_bar
from benchmarks import flops, trace
from benchmarks.compile_time import compile_together, fresh_compilation_cache
from benchmarks.options import Options
from benchmarks.paths import PATHS, different, taken
from benchmarks.programs import largest_that_fits, not_fitting, room_in_pieces, said
from benchmarks.results import Measured, Row
from benchmarks.timing import measure

TABLE, CLASSES = "attention", "attention: time by class of operations"
# (T, H, K): ACRE, CLEVRER and CATER as they are, then longer videos with CATER's heads, and with CLEVRER's.
SIZES = (
    *((57, 10, 18), (233, 10, 18), (641, 8, 38), (2048, 8, 38), (4096, 8, 38)),
    *((641, 10, 18), (1024, 10, 18), (2048, 10, 18), (4096, 10, 18)),
)
QUICK_SIZES = ((17, 2, 6),)
TOKENS, LEAST_TOKENS = {"gpu": 1 << 17, "tpu": 1 << 15}, 1 << 12  # per batch, if they fit; a CPU gets the least
QUICK_TOKENS = 128
DROPOUT = 0.1

FORWARD, GRADIENT, DROPPED = "forward", "forward + gradient", "forward + gradient, dropout"


def run(options: Options) -> Measured:
    device = jax.devices()[0]
    with fresh_compilation_cache():
        compile_together([lowered(largest(case, options), *case) for case in cases(options)])
        for case in progress_bar(list(cases(options)), "attention", unit="case"):
            try:
                row, call, compiled = measured(case, options, device)
            except MemoryError as error:
                yield TABLE, Row(described(case), figures=not_fitting(error))
                continue
            yield TABLE, row
            if options.trace and case.form == FORMS[0] and case.work == DROPPED:
                yield from ((CLASSES, each) for each in trace.rows(row.case, call, compiled))


class Case(NamedTuple):
    """What is measured: the shape (T, H, K), and the names of form, path and work."""

    shape: tuple[int, int, int]
    form: str
    path: str
    work: str


def cases(options: Options) -> Iterator[Case]:
    """All cases; dropout is measured in one form only, as it is the same in both."""
    sizes = [size for size in (QUICK_SIZES if options.quick else SIZES) if size[0] in (options.lengths or [size[0]])]
    for size, form in itertools.product(sizes, FORMS):
        paths = options.paths or different(form, size[2], number_type(), size[0], size[1] * size[2])
        works = (FORWARD, GRADIENT, DROPPED) if form == FORMS[0] else (FORWARD, GRADIENT)
        yield from (Case(size, form, path, work) for path, work in itertools.product(paths, works))


def number_type() -> jnp.dtype:
    """bfloat16, or float32 on CPUs, which lack native bfloat16 arithmetic."""
    return jnp.dtype("float32" if jax.devices()[0].platform == "cpu" else "bfloat16")


def largest(case: Case, options: Options) -> int:
    """The batch size that is tried first."""
    tokens = QUICK_TOKENS if options.quick else TOKENS.get(jax.devices()[0].platform, LEAST_TOKENS)
    return max(1, tokens // case.shape[0])


def lowered(batch: int, shape: tuple[int, int, int], form: str, path: str, work: str) -> jax.stages.Lowered:
    with PATHS[path]():
        return jax.jit(function(form, work)).lower(*arguments(batch, *shape, number_type(), abstract=True))


def measured(case: Case, options: Options, device: jax.Device) -> tuple[Row, Callable[[], Any], jax.stages.Compiled]:
    """Times one case at the largest batch that fits; returns the row, the timed call and its program."""
    shape, form, path, work = case
    tokens, heads, size = shape
    dtype = number_type()
    batch, compiled = largest_that_fits(
        lambda batch: lowered(batch, *case).compile(), largest(case, options), room_in_pieces(device)
    )
    given = arguments(batch, *shape, dtype)

    def call() -> Any:
        return compiled(*given)

    timing = measure(call, repeats=options.repeats)
    row = Row(
        {**described(case), "batch": batch, "dtype": dtype.name},
        timing,
        flops.attention(batch, tokens, heads, size, gradient=work != FORWARD),
        {
            "taken": taken(path, form, size, dtype, tokens, heads * size),
            "tokens_per_second": batch * tokens / timing.median,
            **said(compiled),
        },
    )
    return row, call, compiled


def described(case: Case) -> dict[str, str | int]:
    """The case as it appears in a row, without the batch, which is as large as fits."""
    tokens, heads, size = case.shape
    return {"T": tokens, "H×K": f"{heads}×{size}", "form": case.form, "path": case.path, "work": case.work}


def function(form: str, work: str) -> Callable[..., Any]:
    """A function of `arguments`: the output and, except for "forward", the VJP with the cotangent."""

    def forward(keys_B: jax.Array, *arrays: jax.Array) -> jax.Array:
        dropout = (DROPOUT, keys_B) if work == DROPPED else None
        return relative_attention(*arrays, form=form, dropout=dropout)[0]

    def gradient(keys_B: jax.Array, cotangent: jax.Array, *arrays: jax.Array) -> Any:
        out, pull_back = jax.vjp(lambda *arrays: forward(keys_B, *arrays), *arrays)
        return out, pull_back(cotangent)

    return (lambda keys, _, *arrays: forward(keys, *arrays)) if work == FORWARD else gradient


def arguments(
    batch: int, tokens: int, heads: int, size: int, dtype: jnp.dtype, *, abstract: bool = False
) -> tuple[jax.Array, ...]:
    """Dropout keys, a cotangent, then the arguments of `relative_attention`; if `abstract`, only shapes and dtypes.

    The position weights and the biases are float32, as a model's parameters are.
    """
    width = heads * size

    def drawn() -> tuple[jax.Array, ...]:
        keys = jax.random.split(jax.random.key(0), 7)
        activations = [jax.random.normal(key, (batch, tokens, heads, size), dtype) for key in keys[:4]]
        relative = jax.random.normal(keys[4], (width, heads, size)) * np.sqrt(2 / width)
        biases = [0.2 * jax.random.normal(key, (heads, size)) for key in keys[5:]]
        return (jax.random.split(jax.random.key(1), batch), *activations, relative, *biases)

    return jax.eval_shape(drawn) if abstract else jax.block_until_ready(jax.jit(drawn)())
