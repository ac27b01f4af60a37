"""Selection, crossover and mutation: what each offspring is made of, and how often."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import every_code, generator, some_states
from torch import Tensor

from evodenoise.tvae.operators import (
    crossover,
    flip_parents,
    flip_probabilities,
    flip_sparsely,
    leading_entries,
    select_parents,
)
from evodenoise.tvae.states import pack_states, unpack_states

quick = settings(max_examples=60, deadline=None)


def copies(code: list[int], count: int) -> Tensor:
    return pack_states(torch.tensor(code)).expand(count, -1)


# --- selection


def steps(patches: int, states: int) -> Tensor:
    """Draw log-joints that stay exact in float32 when 10^6 is added or they are multiplied by 8."""
    return torch.randint(-400, 0, (patches, states), generator=generator()) / 4.0


@pytest.mark.parametrize("parents", [1, 3, 8, 20])
def test_parents_of_a_patch_are_distinct(parents: int) -> None:
    chosen = select_parents(steps(50, 8), parents, generator=generator())
    assert chosen.shape == (50, min(parents, 8))
    assert 0 <= chosen.min() <= chosen.max() < 8
    assert all(len(set(row)) == len(row) for row in chosen.tolist())


def test_the_level_of_one_patch_has_no_influence() -> None:
    """The authors' code normalises fitness over the batch: one patch then decides for all."""
    log_joints, shifted = steps(20, 8), steps(20, 8)
    shifted[3] += 1e6
    assert torch.equal(shifted[3] - 1e6, log_joints[3])
    first, second = (
        select_parents(each, 3, generator=generator(1)) for each in (log_joints, shifted)
    )
    assert torch.equal(first, second)


def test_the_values_of_one_patch_have_no_influence_on_others() -> None:
    log_joints, changed = steps(20, 8), steps(20, 8)
    changed[3] = torch.tensor([-1e5, 0.0] * 4)
    first, second = (
        select_parents(each, 3, generator=generator(1)) for each in (log_joints, changed)
    )
    others = torch.arange(20) != 3
    assert torch.equal(first[others], second[others])
    assert not torch.equal(first[3], second[3])


def test_fitness_is_a_matter_of_order_and_proportion_and_not_of_scale() -> None:
    log_joints = steps(20, 8)
    first, second = (
        select_parents(each, 3, generator=generator(1)) for each in (log_joints, 8 * log_joints)
    )
    assert torch.equal(first, second)


def frequencies(log_joints: list[float]) -> Tensor:
    drawn = select_parents(torch.tensor(log_joints).expand(40_000, -1), 1, generator=generator())
    return drawn.flatten().bincount(minlength=len(log_joints)) / 40_000


def test_fitter_states_are_drawn_more_often_and_the_worst_now_and_then() -> None:
    worst, low, high, best = frequencies([-40.0, -30.0, -10.0, 0.0])
    assert 0.02 < worst < low < high < best


def test_equal_states_are_drawn_equally_often() -> None:
    for frequency in frequencies([-3.0] * 5):
        assert frequency == pytest.approx(0.2, abs=0.012)


@pytest.mark.parametrize("row", [[-math.inf] * 4, [math.nan] * 4, [0, -math.inf, math.nan, 2]])
def test_values_that_are_not_finite_do_no_harm(row: list[float]) -> None:
    log_joints = torch.tensor([row, [1.0, 2.0, 3.0, 4.0]])
    chosen = select_parents(log_joints, 4, generator=generator())
    assert chosen.sort(1).values.tolist() == [[0, 1, 2, 3]] * 2


# --- crossover


@pytest.mark.parametrize(("parents", "latents"), [(2, 5), (3, 5), (4, 2), (3, 9)])
def test_an_offspring_is_one_parent_below_a_cut_and_another_one_above(
    parents: int, latents: int
) -> None:
    states = some_states(30, min(parents, 2**latents), latents)
    codes = unpack_states(states, latents)
    crossed = crossover(states[:, :, None].expand(-1, -1, 6, -1), latents, generator=generator())
    offspring = unpack_states(crossed, latents)
    assert offspring.shape == (30, parents, 6, latents)
    cuts_seen, mates_seen = set(), set()
    for patch in range(30):
        for parent in range(parents):
            own = codes[patch, parent]
            possible = {
                (cut, mate): torch.cat([own[:cut], codes[patch, mate, cut:]]).tolist()
                for cut in range(1, latents)
                for mate in range(parents)
                if mate != parent
            }
            for child in offspring[patch, parent].tolist():
                explained = [key for key, code in possible.items() if code == child]
                assert explained
                if len(explained) == 1:
                    cuts_seen.add(explained[0][0])
                    mates_seen.add((parent, explained[0][1]))
    if latents > 2:
        assert cuts_seen == set(range(1, latents))
        assert len(mates_seen) == parents * (parents - 1)


@pytest.mark.parametrize(("parents", "latents"), [(1, 6), (2, 1)])
def test_without_a_mate_or_a_cut_nothing_changes(parents: int, latents: int) -> None:
    states = some_states(4, parents, latents)[:, :, None].expand(-1, -1, 3, -1)
    crossed = crossover(states, latents, generator=generator())
    assert torch.equal(unpack_states(crossed, latents), unpack_states(states, latents))


# --- flips of one bit


@pytest.mark.parametrize("code", [[0] * 10, [1] * 10, [1, 0, 0, 1, 0, 1, 0, 0, 0, 1]])
def test_an_offspring_is_its_parent_but_for_one_bit(code: list[int]) -> None:
    parents = pack_states(torch.tensor([[[0, 1] * 5, code]]))
    flips = torch.arange(20)[None]
    codes = unpack_states(flip_parents(parents, flips, 10), 10)[0]
    for flip, offspring in enumerate(codes):
        expected = torch.tensor([0, 1] * 5 if flip < 10 else code).bool()
        expected[flip % 10] ^= True
        assert torch.equal(offspring, expected)


# --- sparsity-driven flips

SPARSE = [
    # ones, latents, active, mean_flips: more than the distance of ones to active
    (2, 12, 2.0, 1.5),
    (3, 12, 2.0, 1.5),
    (1, 12, 2.0, 1.5),
    (5, 8, 4.5, 3.0),
]
FAR = [
    # the same, but with a number of ones that so few flips, or so many, cannot make `active`
    (9, 12, 3.0, 2.0),
    (1, 12, 6.0, 1.5),
    (0, 12, 1.0, 1.0),
    (8, 8, 7.5, 0.9),
    (2, 4, 2.0, 30.0),
]


@pytest.mark.parametrize(("ones", "latents", "active", "mean_flips"), SPARSE)
def test_flip_probabilities_solve_their_equations(
    ones: int, latents: int, active: float, mean_flips: float
) -> None:
    p01, p10 = flip_probabilities(torch.tensor(ones), latents, active=active, mean_flips=mean_flips)
    assert float((latents - ones) * p01 + ones * p10) == pytest.approx(mean_flips, rel=1e-5)
    assert float((latents - ones) * p01 - ones * p10) == pytest.approx(active - ones, abs=1e-5)


@pytest.mark.parametrize(("ones", "latents", "active", "mean_flips"), SPARSE + FAR)
def test_sparse_flips_lead_to_the_prior_s_number_of_ones_from_anywhere(
    ones: int, latents: int, active: float, mean_flips: float
) -> None:
    """Too few flips to make up for the difference become more, and reach every bit still."""
    p01, p10 = flip_probabilities(torch.tensor(ones), latents, active=active, mean_flips=mean_flips)
    assert float(ones + (latents - ones) * p01 - ones * p10) == pytest.approx(active, abs=1e-5)
    if 0 < ones < latents:
        assert min(p01, p10) > 0


@given(st.integers(1, 40), st.floats(0.01, 60), st.floats(0.01, 100), st.data())
@quick
def test_flip_probabilities_are_probabilities(
    latents: int, active: float, mean_flips: float, data: st.DataObject
) -> None:
    ones = torch.tensor(data.draw(st.integers(0, latents)))
    for each in flip_probabilities(ones, latents, active=active, mean_flips=mean_flips):
        assert 0 <= each <= 1


@pytest.mark.parametrize(("ones", "latents", "active", "mean_flips"), SPARSE + FAR)
def test_sparse_flips_are_independent_flips_of_all_bits(
    ones: int, latents: int, active: float, mean_flips: float
) -> None:
    """Though drawn in another way: every bit as often as promised, and the spread of their sum."""
    draws = 20_000
    code = [1] * ones + [0] * (latents - ones)
    p01, p10 = (
        float(each)
        for each in flip_probabilities(
            torch.tensor(ones), latents, active=active, mean_flips=mean_flips
        )
    )
    offspring = unpack_states(
        flip_sparsely(
            copies(code, draws),
            latents,
            active=active,
            mean_flips=mean_flips,
            generator=generator(),
        ),
        latents,
    )
    flips = (offspring ^ torch.tensor(code).bool()).double()
    expected = torch.tensor([p10] * ones + [p01] * (latents - ones)).double()
    spread = (expected * (1 - expected)).sqrt()
    error = 6 * spread / draws**0.5 + 1e-9
    assert ((flips.mean(0) - expected).abs() <= error).all()
    # Pairs: neither drawn twice nor one at the cost of the other.
    covariance = torch.cov(flips.T)
    off_diagonal = covariance - covariance.diag().diag()
    assert (off_diagonal.abs() <= 6 * spread[:, None] * spread / draws**0.5 + 1e-9).all()


@pytest.mark.parametrize(("ones", "latents", "active", "mean_flips"), SPARSE)
def test_sparse_flips_keep_the_promised_numbers(
    ones: int, latents: int, active: float, mean_flips: float
) -> None:
    code = torch.tensor([0] * (latents - ones) + [1] * ones)
    offspring = unpack_states(
        flip_sparsely(
            copies(code.tolist(), 20_000),
            latents,
            active=active,
            mean_flips=mean_flips,
            generator=generator(2),
        ),
        latents,
    )
    changed = offspring ^ code.bool()
    assert offspring.sum(1).double().mean() == pytest.approx(active, abs=0.08)
    assert changed.sum(1).double().mean() == pytest.approx(mean_flips, abs=0.08)
    assert changed.any(0).all()  # no bit is out of reach


def test_sparse_flips_of_parents_with_different_numbers_of_ones() -> None:
    """Too many ones become fewer, too few become more: as many as the prior has."""
    states = pack_states(torch.tensor([[1] * 9 + [0] * 3, [0] * 12]))
    offspring = flip_sparsely(
        states[None].expand(5000, -1, -1), 12, active=3.0, mean_flips=2.0, generator=generator()
    )
    many, few = unpack_states(offspring, 12).sum(-1).double().mean(0)
    assert many == pytest.approx(3, abs=0.1)
    assert few == pytest.approx(3, abs=0.1)


# --- guided flips


@st.composite
def score_tables(draw: st.DrawFn) -> tuple[Tensor, int]:
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 300))
    source = generator(draw(st.integers(0, 2**16)))
    scores = torch.randn(rows, columns, generator=source)
    if draw(st.booleans()):
        scores = scores.round()  # ties
    if draw(st.booleans()):
        scores[torch.rand(rows, columns, generator=source) < 0.9] = -math.inf
    return scores, draw(st.integers(1, 40))


@given(score_tables())
@quick
def test_leading_entries(drawn: tuple[Tensor, int]) -> None:
    scores, count = drawn
    found = leading_entries(scores, count)
    size = scores.shape[1]
    assert found.shape == (len(scores), min(count, size))
    assert 0 <= found.min() <= found.max() < size
    assert all(len(set(row)) == len(row) for row in found.tolist())
    values = scores.gather(1, found)
    assert torch.equal(values[:, 0], scores.amax(1))
    assert all(a >= b for row in values.tolist() for a, b in pairwise(row))
    # At most one of eight is missed: the j-th found is no worse than the 8 (j-1) + 1 st best.
    ranked = scores.sort(1, descending=True).values
    reach = (8 * torch.arange(found.shape[1])).clamp(max=size - 1)
    assert (values >= ranked[:, reach]).all()


def test_guided_offspring_are_the_flips_of_highest_score() -> None:
    latents = 5
    parents = some_states(20, 3, latents)
    scores = torch.randn(20, 3, latents, generator=generator())
    flips = leading_entries(scores.flatten(1), 4)
    offspring = unpack_states(flip_parents(parents, flips, latents), latents)
    codes = unpack_states(parents, latents)
    for patch in range(20):
        best = scores[patch].flatten().topk(4).indices.tolist()
        expected = []
        for flip in best:
            code = codes[patch, flip // latents].clone()
            code[flip % latents] ^= True
            expected.append(code.tolist())
        assert offspring[patch].tolist() == expected


def test_guided_offspring_of_many_latents_hold_the_best_flip_and_none_twice() -> None:
    latents = 100
    parents = pack_states(torch.eye(latents)[None, :2])
    scores = torch.randn(1, 2, latents, generator=generator())
    flips = leading_entries(scores.flatten(1), 6)
    offspring = unpack_states(flip_parents(parents, flips, latents), latents)[0]
    best = int(scores.argmax())
    expected = torch.eye(latents)[best // latents].bool()
    expected[best % latents] ^= True
    assert torch.equal(offspring[0], expected)
    assert len({tuple(code) for code in offspring.tolist()}) == 6
    assert (torch.cdist(offspring.double(), torch.eye(latents).double()[:2], p=1) == 1).any(1).all()


def test_there_are_no_more_guided_offspring_than_flips() -> None:
    parents = pack_states(every_code(2)[None, :3])
    flips = leading_entries(torch.zeros(1, 3 * 2), 50)
    assert flip_parents(parents, flips, 2).shape[1] == 6
