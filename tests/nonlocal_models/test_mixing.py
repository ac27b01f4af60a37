"""Estimates are mixed by the weights of the places that pixels are in."""

import json
import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from evodenoise.config.settings import Refinement
from evodenoise.nonlocal_models.mixing import (
    ACTIVITIES,
    DISAGREEMENTS,
    WEIGHTS_FILE,
    Estimates,
    Places,
    blur,
    mixing_weights,
)

NODES = ACTIVITIES[2] + DISAGREEMENTS[2]
VARIANCE = 0.3


def estimates(others: int = 2, shape: tuple[int, int] = (23, 31)) -> Estimates:
    """Make estimates that differ from place to place, and more so to the right."""
    generator = torch.Generator().manual_seed(3)
    noisy, base, *rest = torch.randn(2 + others, *shape, generator=generator).unbind()
    growing = torch.linspace(0.01, 0.5, shape[1])
    base = base * torch.linspace(0.05, 3, shape[0])[:, None]
    return Estimates(noisy, base, [base + growing * other for other in rest], VARIANCE)


def scipy_blur(plane: npt.ArrayLike, width: float) -> npt.NDArray[np.float64]:
    blurred: npt.NDArray[np.float64] = gaussian_filter(
        np.asarray(plane, np.float64), width, mode="reflect", truncate=3
    )
    return blurred


@pytest.mark.parametrize("shape", [(20, 30), (5, 3), (1, 9)])
@pytest.mark.parametrize("width", [1.0, 2.0])
def test_blur_is_that_of_scipy(shape: tuple[int, int], width: float) -> None:
    plane = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    expected = scipy_blur(plane, width)
    np.testing.assert_allclose(blur(plane, width).numpy(), expected, atol=1e-6)


def test_places_lie_between_logarithmic_nodes() -> None:
    """Nodes 0.1, 1 and 10: the geometric mean of two is half-way, what is beyond stays outside."""
    values = torch.tensor([[0.0, 0.1, 0.1 * 10**0.5, 1.0, 10**0.25, 10.0, 99.0]])
    places = Places.of(values.square(), (0.1, 10.0, 3))
    expected = torch.tensor([[5.0, 5.0, 6.0, 7.0, 4.0, -5.0, -5.0]])
    torch.testing.assert_close(places.read(torch.tensor([5.0, 7.0, -5.0])), expected)
    torch.testing.assert_close(places.shares(3).sum(0), torch.ones(1, 7))


def test_without_weight_the_base_is_returned() -> None:
    some = estimates()
    torch.testing.assert_close(some.mixed(torch.zeros(7, NODES)), some.base)


def test_an_estimate_of_weight_one_is_returned() -> None:
    some = estimates()
    weights = torch.zeros(7, NODES)
    weights[2, : ACTIVITIES[2]] = 1
    torch.testing.assert_close(some.mixed(weights), some.others[1])


def test_terms_and_places_are_those_of_the_formula() -> None:
    some = estimates()
    weights = torch.randn(7, NODES, generator=torch.Generator().manual_seed(1))
    noisy, base, *others = (
        np.asarray(each, np.float64) for each in (some.noisy, some.base, *some.others)
    )
    changes = [other - base for other in others]
    terms = [term for change in changes for term in (change, scipy_blur(change, 2))]
    terms += [scipy_blur(noisy - base, 2), base - scipy_blur(base, 1), base - scipy_blur(base, 2)]
    activity = scipy_blur((base - scipy_blur(base, 2)) ** 2, 2)
    spread = scipy_blur(sum(change**2 for change in changes) / 2, 2)
    expected = base.copy()
    for term, own in zip(terms, weights.numpy(), strict=True):
        own_of = (own[: ACTIVITIES[2]], own[ACTIVITIES[2] :])
        for squares, (first, last, count), values in zip(
            (activity, spread), (ACTIVITIES, DISAGREEMENTS), own_of, strict=True
        ):
            nodes = np.linspace(math.log(first), math.log(last), count)
            expected += term * np.interp(np.log(np.sqrt(squares / VARIANCE)), nodes, values)
    assert np.abs(expected - base).max() > 1
    np.testing.assert_allclose(some.mixed(weights).numpy(), expected, atol=1e-3)


def test_units_do_not_matter() -> None:
    some = estimates()
    others = [9 * other for other in some.others]
    larger = Estimates(9 * some.noisy, 9 * some.base, others, 81 * VARIANCE)
    weights = torch.randn(7, NODES, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(larger.mixed(weights), 9 * some.mixed(weights), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(("refinement", "others"), [("gaussian", 1), ("quick", 4), ("full", 4)])
def test_there_are_weights_for_each_refinement(refinement: str, others: int) -> None:
    weights = mixing_weights(Refinement(refinement))
    assert weights.shape == (2 * others + 3, NODES)
    assert weights.isfinite().all()
    assert 0.1 < weights.abs().max() < 20


def test_there_are_no_other_weights() -> None:
    weights = json.loads(WEIGHTS_FILE.read_text(encoding="ascii"))
    assert set(weights) == {"gaussian", "quick", "full"}


def flat(value: float) -> Tensor:
    return torch.full((12, 12), value)


def test_a_flat_picture_stays_flat() -> None:
    """Detail of which there is none is not made."""
    some = Estimates(flat(0.5), flat(0.5), [flat(0.5)] * 4, 0.01)
    for refinement in (Refinement.QUICK, Refinement.FULL):
        mixed = some.mixed(mixing_weights(refinement))
        torch.testing.assert_close(mixed, flat(0.5), atol=1e-5, rtol=0)
