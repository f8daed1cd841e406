"""MONet (Burgess et al., 2019, arXiv 1901.11390): a picture as slots, each a mask, a picture of its own and a latent.

Masks and scopes are logarithms throughout: a scope is a product of many small shares, which would underflow. Pictures
have their channels last, which is the order that convolutions of GPUs are fastest in.
"""
