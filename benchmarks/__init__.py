"""What the training system costs: attention, the step, its input, checkpoints, scaling; on CPU, GPU or TPU.

`python -m benchmarks PART` prints a table per part and writes JSON; NOTES.md in this folder records what was learnt.
"""
