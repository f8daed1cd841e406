"""From scratch to a validation table on this machine: what `make train` runs.

Writes a small CLEVRER world, encodes some frames of its videos with the MONet that ships with Aloe, emulates a v2-32
slice (four Ray nodes, four JAX processes), submits the training job to it as it would be submitted to a real one, and
scores the result. Every stage resumes where it stopped; a finished one is quick.

With --encoder=oracle the latents are made from the annotations, not from pixels: any remaining errors are of reasoning.
"""

import contextlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ray.job_submission import JobSubmissionClient

from aloe.config import resolve
from aloe.perception.encoding import ENCODERS, MONET, ORACLE
from cluster.emulated import EmulatedSlice
from cluster.slices import slice_for_hosts
from launch.flags import Parser, run

ROOT = Path(__file__).resolve().parent.parent
JOB = "ray job submit -- python launch/train.py --task=clevrer --hosts=4 --config.data.encoder={encoder}"
ENCODE = {
    ORACLE: "python launch/encode.py --task=clevrer",
    MONET: "python launch/encode.py --task=clevrer --encoder=monet --checkpoint=clevrer_world"
    " --frames_per_video={frames}",
}
BUDGET_SECONDS = {"world": 100, "latents": 100, "training": 350, "evaluation": 50}


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "quickstart", help="folder of the world")
    parser.add_argument("--workdir", type=Path, help="folder of the run; else runs/quickstart-ENCODER")
    parser.add_argument("--videos", type=int, default=600, help="size of the world")
    parser.add_argument("--encoder", choices=ENCODERS, default=MONET, help="what makes the latents")
    flags = parser.parse()
    data = flags.data.absolute()
    workdir = (flags.workdir or ROOT / "runs" / f"quickstart-{flags.encoder}").absolute()
    environment = {"ALOE_DATA": str(data), "ALOE_WORKDIR": str(workdir), "ALOE_VARIANT": "quickstart"}
    seconds = {}

    def stage(name: str, *commands: str) -> None:
        print(f"\n=== {name} (budget {clock(BUDGET_SECONDS[name])}) ===", flush=True)
        started = time.monotonic()
        for command in commands:
            print(f"$ {command}", flush=True)
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            variables = os.environ | environment | {"PATH": path}
            status = subprocess.run(shlex.split(command), cwd=ROOT, env=variables).returncode
            if status:
                print(f"The stage {name!r} failed: what it says stands above. The same command goes on from here.")
                sys.exit(status)
        seconds[name] = time.monotonic() - started

    print("Settings of all stages:", *(f"{name}={value}" for name, value in environment.items()))
    stage("world", f"python launch/make_world.py --task=clevrer --videos={flags.videos} --size=96x64 --out={data}")
    frames = resolve("clevrer", environment["ALOE_VARIANT"], {}).data.frames_per_video
    stage("latents", ENCODE[flags.encoder].format(frames=frames), f"python launch/check_data.py {data}")
    with EmulatedSlice(slice_for_hosts(4), environment=environment) as here, stopping_jobs(here.dashboard):
        stage("training", JOB.format(encoder=flags.encoder))
    stage("evaluation", "python launch/evaluate.py --task=clevrer --local")

    print("Stage        budget    took")
    for name, took in seconds.items():
        print(f"{name:<12} {clock(BUDGET_SECONDS[name]):>6}  {clock(took):>6}")
    print(f"\nCheckpoints: {workdir / 'checkpoints'}")
    print(f"TensorBoard: .venv/bin/tensorboard --logdir {workdir / 'tensorboard'}")
    print("Next: the README has the same run on your own slice and the real data.")
    return 0


@contextlib.contextmanager
def stopping_jobs(dashboard: str) -> Iterator[None]:
    """On Ctrl-C, stops the cluster's jobs as `ray job stop` does, and waits until they have saved."""
    try:
        yield
    except KeyboardInterrupt:
        client = JobSubmissionClient(dashboard)
        running = [job.submission_id or "" for job in client.list_jobs() if not job.status.is_terminal()]
        print("\nStopping; a checkpoint is saved first. The same command goes on from it.", flush=True)
        for job in running:
            client.stop_job(job)
        while not all(client.get_job_status(job).is_terminal() for job in running):
            time.sleep(0.5)
        raise


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


if __name__ == "__main__":
    run(main)
