"""The engine: a truncated variational autoencoder with binary latents.

Tensors of patches in, tensors out; nothing here knows of images, files or screens.
Dimensions, used everywhere under these letters: N patches, D pixels of a patch
(times channels), H binary latents, S variational states per patch, K places for
the ones of a state, P parents, C offspring per parent.
"""
