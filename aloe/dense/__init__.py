"""The parts of a transformer block other than attention, for NVIDIA GPUs: memory-bound products of narrow matrices.

`aloe.model.fused_block` is built from it. A width E is padded to W lanes, of which lane E is always 1: so row E of a
weight matrix is the bias of the product, and its gradient is computed with that of the matrix.

A `path` is one of `aloe.attention.PATHS`: "kernels" are Pallas kernels, "interpreted" runs the same programs as plain
XLA, and "xla" is the reference that both are tested against.
"""
