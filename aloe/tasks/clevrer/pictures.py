"""Videos of scenes: drawn by the ray-caster, on the CPU or on a GPU, and written as mp4."""

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import av
import jax
import numpy as np

from aloe.data.whole import write_whole
from aloe.render import raycast
from aloe.tasks.clevrer.view import clevrer_camera

SMOOTHED = 240  # pictures narrower than this get four rays per pixel, as if downscaled from larger ones
FRAMES_AT_ONCE = 32  # on a GPU; a whole video at once gains little more


def draw(solids: raycast.Solids, width: int, height: int, *, gpu: bool = False) -> jax.Array:
    """The frames of a scene, image_FxYxXx3 in uint8; on a GPU, dispatched without waiting for the result."""
    samples = 2 if width < SMOOTHED else 1
    at_once = FRAMES_AT_ONCE if gpu else None
    return raycast.render(solids, clevrer_camera(width, height), samples=samples, frames_at_once=at_once)


def write(image_FxYxXx3: np.ndarray | jax.Array, file: Path) -> None:
    """Writes frames as a video at 25 frames per second, whole or not at all."""
    frames = np.asarray(image_FxYxXx3)
    write_whole(file, lambda unfinished: _encode(frames, unfinished))


def _encode(image_FxYxXx3: np.ndarray, file: Path) -> None:
    with av.open(str(file), "w", format="mp4") as container:
        # Fast, nearly lossless settings: nobody keeps these for long, and a tenth of the time is spent here.
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "16"})
        stream.height, stream.width = image_FxYxXx3.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for image_YxXx3 in image_FxYxXx3:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image_YxXx3, format="rgb24")))
        container.mux(stream.encode())


class Drawer:
    """Draws on this process's GPU, one scene after another, while threads write the videos already drawn.

    A context manager; on exit without an error, all videos have been written.
    """

    def __init__(self, width: int, height: int, threads: int) -> None:
        self.width, self.height = width, height
        self.seconds = 0.0  # CPU time spent writing
        self._ahead = 2 * threads
        self._threads = ThreadPoolExecutor(threads)
        self._written: deque[Future[float]] = deque()

    def __enter__(self) -> "Drawer":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            while self._written and kind is None:
                self._finish()
        finally:
            self._threads.shutdown(cancel_futures=True)

    def add(self, solids: raycast.Solids, file: Path) -> None:
        """Draws one more video and queues it for writing; blocks while writing lags behind."""
        image_FxYxXx3 = draw(solids, self.width, self.height, gpu=True)
        self._written.append(self._threads.submit(_timed_write, image_FxYxXx3, file))
        if len(self._written) > self._ahead:
            self._finish()

    def _finish(self) -> None:
        self.seconds += self._written.popleft().result()


def _timed_write(image_FxYxXx3: jax.Array, file: Path) -> float:
    started = time.thread_time()
    write(image_FxYxXx3, file)
    return time.thread_time() - started
