"""Aloe: attention over learned object embeddings (Ding et al., 2021, arXiv 2012.08508).

The scientific part of the project: pure JAX, independent of Ray. Array names carry their dimensions as suffixes; this
is the only glossary of the letters:

    B  examples           F  frames            N  object slots      D  latent size of an object
    T  tokens, 1 + W + F·N (CLS, words, objects)                    W  words
    C  choices            A  answers           H  heads             K  head size
    E  model width, H·K   L  layers            M  feed-forward hidden width

`latents_BxFxNxD` is a batch of videos as object latents, `logits_BxCxA` holds answer logits for every choice. A digit
stands for itself, as in `location_Fx3`; images add Y (rows) and X (columns), as in `image_YxXx3`; worlds add O
(simulated objects).
"""
