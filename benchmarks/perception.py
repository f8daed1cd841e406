"""MONet: its training step, its encoding and, separately, how many frames per second are decoded.

The step is the complete one, on the first device: both networks, the loss, the optimizer. Encoding is timed as
`launch/encode.py` does it, by the same code, for as many videos as it encodes at once: frames from host memory onto the
devices, through the attention network and the component encoder, and the latents back. With `resident` the frames are
already on the devices.
"""

import functools
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from aloe import tasks
from aloe.config import resolve
from aloe.data import frames
from aloe.perception.monet.config import MonetConfig
from aloe.perception.monet.encoder import Encoder
from aloe.perception.monet.model import Monet
from aloe.perception.monet.trained import Trained
from aloe.progress_bar import progress_bar
from benchmarks import trace
from benchmarks.options import Options
from benchmarks.programs import largest_that_fits, not_fitting, room_in_pieces, said
from benchmarks.results import Measured, Row
from benchmarks.timing import measure
from benchmarks.training import Run, make_run, repeated, with_batch, with_data

TRAINING, CLASSES = "training step", "training step: time by class of operations"
ENCODING, DECODING = "encoding", "decoding by one process"
VARIANTS, QUICK_VARIANTS = ("paper", "small"), ("quickstart",)
BATCH_FACTORS = (1, 4)  # times the configured batch, which leaves a GPU waiting; on a CPU only the first
TRAINING_VIDEOS = 3  # whose frames have one size for all variants
SOURCE = "clevrer"  # whose videos are decoded, from our own world at their official size
VIDEOS, QUICK_VIDEOS = 6, 3


def run(options: Options) -> Measured:
    variants = QUICK_VARIANTS if options.quick else VARIANTS
    with tempfile.TemporaryDirectory() as folder:
        yield from training(variants, Path(folder), options)
    for variant in progress_bar(variants, ENCODING, unit="variant"):
        yield from ((ENCODING, row) for row in encoding(variant, options))
    with tempfile.TemporaryDirectory() as folder:
        yield DECODING, decoding(Path(folder), options)


def training(variants: Sequence[str], folder: Path, options: Options) -> Measured:
    """The step of each variant on our own world, at its batch and a larger one, or as much of them as fits."""
    device = jax.devices()[0]
    root = with_data(resolve("monet", variants[0], {}), folder, TRAINING_VIDEOS).data.root
    factors = BATCH_FACTORS[:1] if device.platform == "cpu" else BATCH_FACTORS
    cases = list(itertools.product(variants, factors))
    for variant, factor in progress_bar(cases, TRAINING, unit="case"):
        config = resolve("monet", variant, {"data.root": root})
        frames_asked = factor * config.batch.frames
        case: dict[str, str | int] = {"variant": variant, "pixels": config.model.size, "dtype": config.model.dtype}
        try:
            trained, compiled = fitting(config, frames_asked, device)
        except MemoryError as error:
            yield TRAINING, Row(case | {"frames": frames_asked}, figures=not_fitting(error))
            continue
        number = trained.config.batch.frames
        call = repeated(compiled, trained.fresh_state(), trained.batch())
        timing = measure(call, repeats=options.repeats)
        figures = {"frames_per_second": number / timing.median, **said(compiled)}
        row = Row(case | {"frames": number}, timing, figures=figures)
        yield TRAINING, row
        if options.trace:
            yield from ((CLASSES, each) for each in trace.rows(row.case, call, compiled))


def fitting(config: ConfigDict, frames: int, device: jax.Device) -> tuple[Run, jax.stages.Compiled]:
    """The run with the largest part of these frames whose step fits the device, and the compiled step.

    Raises:
      MemoryError: not even a single frame fits.
    """
    runs: dict[int, Run] = {}

    def compile_for(number: int) -> jax.stages.Compiled:
        runs[number] = make_run(with_batch(config, number, config.batch.frames), [device])
        return runs[number].lowered().compile()

    number, compiled = largest_that_fits(compile_for, frames, room_in_pieces(device))
    return runs[number], compiled


def encoding(variant: str, options: Options) -> Iterator[Row]:
    """Encoding by a MONet variant with fresh parameters, on all devices of this process."""
    model = MonetConfig(**resolve("monet", variant, {}).model)
    of_video = 2 if options.quick else tasks.part(SOURCE, "files").FRAMES
    params = jax.jit(lambda: nnx.state(Monet(model, rngs=nnx.Rngs(0)), nnx.Param))()
    encoder = Encoder(Trained(model, params, {}), {}, range(of_video))
    shape = (encoder.videos_at_once, of_video, model.size, model.size, 3)
    videos = list(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    number = len(videos) * of_video
    resident = encoder.on_devices(videos)
    lowered = encoder.step.lower(encoder.params, resident)
    operations = (lowered.cost_analysis() or {}).get("flops")  # of one device's share, before optimization
    calls: dict[str, Callable[[], Any]] = {
        "resident": lambda: encoder.step(encoder.params, resident),
        "in memory": lambda: encoder.dispatch(videos),
    }
    for place, call in calls.items():
        timing = measure(call, repeats=options.repeats, wait=jax.device_get)
        case: dict[str, str | int] = {
            "variant": variant,
            "pixels": model.size,
            "frames": number,
            "devices": encoder.mesh.size,
            "lie": place,
        }
        yield Row(case, timing, operations, {"frames_per_second": number / timing.median})


def decoding(folder: Path, options: Options) -> Row:
    """Decoding all frames of videos of the official size (small ones with `--quick`), by one process."""
    size = (64, 64) if options.quick else (480, 320)
    videos = QUICK_VIDEOS if options.quick else VIDEOS
    gpu = jax.default_backend() == "gpu"
    tasks.part(SOURCE, "world").write(folder, videos, width=size[0], height=size[1], gpu=gpu)
    files = tasks.part(SOURCE, "files")
    found = sorted(files.find_videos(folder).items())
    into = resolve("monet", "paper", {}).model.size
    decode = functools.partial(frames.decode, frame_numbers=range(files.FRAMES), size=into)
    timing = measure(lambda: [decode(each) for each in found], repeats=options.repeats, wait=lambda decoded: decoded)
    number = len(found) * files.FRAMES
    case = {"videos": len(found), "pixels": f"{size[0]}x{size[1]}", "frames": number}
    return Row(case, timing, figures={"frames_per_second": number / timing.median})
