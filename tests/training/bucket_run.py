"""Trains the toy task with its workdir in a bucket, in separate processes.

python -m tests.training.bucket_run CLIENT URL WORKDIR kill STEP       kills itself after that step
python -m tests.training.bucket_run CLIENT URL WORKDIR host RANK PORT  runs one of two hosts with four devices each
"""

import os
import signal
import sys

import jax

import tests.conftest  # noqa: F401, devices as in the tests
from tests.bucket import use_client


def main(client, url, folder, what, number, port=None):
    use_client(client, url)
    if what == "host":
        jax.config.update("jax_num_cpu_devices", 4)
        jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(number))
    else:
        jax.config.update("jax_compilation_cache_dir", f"{folder}/compiled")
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

    from aloe.training.loop import train
    from tests.training.test_loop import settings
    from tests.training.toy import Toy

    def kill(done):
        if what == "kill" and done == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    train(Toy(noise=0.1), settings(folder), kill)


if __name__ == "__main__":
    main(*sys.argv[1:])
