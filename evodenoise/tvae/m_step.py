"""The M-step of a mini-batch: gradient steps on the decoder, over the states that count.

Prior and noise variance have updates in closed form, once an epoch: `BinaryLatentVAE.update_prior`
and `BinaryLatentVAE.update_noise_variance`.
"""

import torch
from torch import Tensor

from evodenoise.tvae.adam import Optimizer
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import Observations
from evodenoise.tvae.posterior import PosteriorSample


def m_step(
    model: BinaryLatentVAE,
    optimizer: Optimizer,
    patches: Observations,
    sample: PosteriorSample,
    *,
    share: float = 1.0,
) -> Tensor:
    """Take one gradient step on the decoder.

    The gradient of the free energy with respect to the weights is that of the
    posterior-weighted log-joint with the posterior weights held fixed.

    Parameters
    ----------
    model : BinaryLatentVAE
        Its decoder is changed.
    optimizer : Optimizer
        Over the decoder's parameters.
    patches : Observations, (B, D)
        The mini-batch.
    sample : PosteriorSample
        States of these patches and their weights; all of them or a part.
    share : float
        The part that the sample is of all states of the mini-batch.

    Returns
    -------
    Tensor, shape ()
        sum_n E_q[||x_n - mu(z)||^2], see `Observations.squared_errors`, before the step.
    """
    mine = patches[sample.owners]
    emission = model.decoder(sample.states)
    likelihood = mine.surrogate_log_likelihood(emission, model.noise)
    loss = torch.dot(sample.weights, likelihood) * (-1 / (len(patches) * share))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        errors = mine.squared_errors(emission.mean, model.noise_profile)
        expected_error: Tensor = torch.dot(sample.weights, errors)
    return expected_error


def gradient_steps(
    model: BinaryLatentVAE,
    optimizer: Optimizer,
    patches: Observations,
    sample: PosteriorSample,
    size: int,
) -> Tensor:
    """Take gradient steps over parts of the states of a mini-batch.

    Each step is scaled as if its part were all of the mini-batch, so that the mean of their
    gradients at one model is the gradient of the whole.

    Parameters
    ----------
    model, optimizer, patches, sample
        As for `m_step`.
    size : int
        States of a step, at most.

    Returns
    -------
    Tensor, shape ()
        sum_n E_q[||x_n - mu(z)||^2], each state's before its step.
    """
    parts = list(sample.split(size))
    errors = [m_step(model, optimizer, patches, part, share=1 / len(parts)) for part in parts]
    return torch.stack(errors).sum()
