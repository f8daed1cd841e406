"""Eight emulated CPU devices, on which every test runs small programs; `make gpu` uses a GPU instead."""

import os

import jax
import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run, however long each takes on a loaded machine.
settings.register_profile("aloe", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("aloe")

PLATFORMS = os.environ.get("ALOE_TEST_PLATFORMS", "cpu")

jax.config.update("jax_platforms", PLATFORMS)
jax.config.update("jax_num_cpu_devices", 8)
if PLATFORMS == "cpu":
    jax.config.update("jax_disable_most_optimizations", True)  # these tests spend nearly all their time compiling
else:
    jax.config.update("jax_default_matmul_precision", "highest")


@pytest.fixture(scope="session")
def server():
    """A bucket on this machine, `gs://fake`; see tests/bucket.py."""
    from tests.bucket import Bucket

    bucket = Bucket()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in bucket.environment().items():
            patch.setenv(name, value)
        yield bucket
    bucket.close()


def pytest_generate_tests(metafunc):
    """Runs every test that uses a bucket with the fake client, and also with gcsfs where that is installed."""
    if "client" in metafunc.fixturenames:
        from tests.bucket import CLIENTS

        metafunc.parametrize("client", CLIENTS)


@pytest.fixture
def bucket(server, client, monkeypatch):
    """The same bucket, emptied, as this process's gs://fake."""
    from tests.bucket import use_client

    server.objects.clear()
    server.writes.clear()
    server.bytes_in.clear()
    use_client(client, server.url, monkeypatch.setattr)
    return server
