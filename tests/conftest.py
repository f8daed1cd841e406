"""Eight fake devices for every test: small programs, compiled for the CPU."""

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_disable_most_optimizations", True)  # nearly all the time of these tests is compiling
