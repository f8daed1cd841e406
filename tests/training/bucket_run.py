"""A run of the toy in a bucket that kills itself: python -m tests.training.bucket_run CLIENT URL WORKDIR STEP."""

import os
import signal
import sys

import jax

from tests.bucket import use_client


def main(client, url, folder, step):
    use_client(client, url)
    jax.config.update("jax_compilation_cache_dir", f"{folder}/compiled")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

    from aloe.training.loop import train
    from tests.training.test_loop import settings
    from tests.training.toy import Toy

    def kill(done):
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    train(Toy(noise=0.1), settings(folder), kill)


if __name__ == "__main__":
    import tests.conftest  # noqa: F401, devices as in the tests

    main(*sys.argv[1:4], int(sys.argv[4]))
