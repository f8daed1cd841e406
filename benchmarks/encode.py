"""MONet's encoding: frames a second from decoded frames in memory, and apart from it those that are decoded.

What is timed is what `launch/encode.py` does with the frames of so many videos as it encodes at once, by the same code:
from the host's memory onto its devices, through the attention network and the component encoder, and the latents back.
`resident` has the frames on the devices already.
"""

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from aloe import tasks
from aloe.config import resolve
from aloe.data import frames
from aloe.perception.monet.config import MonetConfig
from aloe.perception.monet.encoder import VIDEOS_AT_ONCE, Encoder
from aloe.perception.monet.model import Monet
from aloe.perception.monet.trained import Trained
from aloe.progress_bar import progress_bar
from benchmarks.options import Options
from benchmarks.results import Measured, Row
from benchmarks.timing import measure

TABLE, DECODING = "encode", "decoding by one process"
VARIANTS, QUICK_VARIANTS = ("paper", "small"), ("quickstart",)
SOURCE = "clevrer"  # whose videos are decoded, of a world of ours in their official size
VIDEOS, QUICK_VIDEOS = 6, 3


def run(options: Options) -> Measured:
    for variant in progress_bar(QUICK_VARIANTS if options.quick else VARIANTS, TABLE, unit="variant"):
        yield from ((TABLE, row) for row in encoding(variant, options))
    with tempfile.TemporaryDirectory() as folder:
        yield DECODING, decoding(Path(folder), options)


def encoding(variant: str, options: Options) -> Iterator[Row]:
    """Of a variant of MONet with fresh parameters, on all devices of this process."""
    model = MonetConfig(**resolve("monet", variant, {}).model)
    of_video = 2 if options.quick else tasks.part(SOURCE, "files").FRAMES
    params = jax.jit(lambda: nnx.state(Monet(model, rngs=nnx.Rngs(0)), nnx.Param))()
    encoder = Encoder(Trained(model, params, {}), {}, range(of_video))
    shape = (VIDEOS_AT_ONCE, of_video, model.size, model.size, 3)
    videos, number = list(np.random.default_rng(0).integers(0, 256, shape, np.uint8)), VIDEOS_AT_ONCE * of_video
    resident = encoder.on_devices(videos)
    lowered = encoder.step.lower(encoder.params, resident)
    operations = (lowered.cost_analysis() or {}).get("flops")  # of one device's share, before optimisation
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
    """Of all frames of videos of the official size (small ones with `--quick`), by one process."""
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
