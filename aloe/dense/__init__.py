"""What of a transformer's block is not attention, for NVIDIA GPUs: products of narrow matrices, bound by memory.

`aloe.model.fused_block` is built of it. A width E is padded to W lanes, of which lane E is always 1: so the row E of a
weight matrix is the bias of the product, and its gradient comes with that of the matrix.

Each function computes on a path of `aloe.attention.PATHS`: "kernels" are Pallas kernels, "interpreted" the same as
programs in plain XLA, and "xla" is what both are tested against.
"""
