"""MONet (Burgess et al., 2019, arXiv 1901.11390): an image as slots, each a mask, an image of its own and a latent.

Masks and scopes are logarithms throughout: a scope is a product of many small fractions, which would underflow. Images
are channels-last, the layout in which convolutions on GPUs are fastest.
"""
