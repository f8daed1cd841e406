"""Eight fake devices for every test: small programs, compiled for the CPU; `make gpu` has a GPU's own instead."""

import os

import jax

PLATFORMS = os.environ.get("ALOE_TEST_PLATFORMS", "cpu")

jax.config.update("jax_platforms", PLATFORMS)
jax.config.update("jax_num_cpu_devices", 8)
if PLATFORMS == "cpu":
    jax.config.update("jax_disable_most_optimizations", True)  # nearly all the time of these tests is compiling
else:
    jax.config.update("jax_default_matmul_precision", "highest")
