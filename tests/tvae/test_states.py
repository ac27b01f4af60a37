"""Codes as indices of their ones: nothing is lost, nothing stands twice, the best are kept."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import are_distinct, code_sets, every_code, every_state, generator, some_states
from torch import Tensor

from evodenoise.tvae.states import (
    VariationalStates,
    concatenate,
    count_ones,
    flip_bits,
    hash_keys,
    hash_states,
    initial_states,
    keep_best,
    pack_states,
    repeated,
    trim,
    unpack_states,
    widen,
)

quick = settings(max_examples=60, deadline=None)


@st.composite
def dense_codes(draw: st.DrawFn) -> Tensor:
    shape = draw(st.sampled_from([(1,), (5,), (2, 3), (2, 1, 4)]))
    latents = draw(st.integers(1, 40))
    source = generator(draw(st.integers(0, 2**16)))
    share = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    return torch.rand(*shape, latents, generator=source) < share


# --- packing


@given(dense_codes())
@quick
def test_unpacking_undoes_packing(codes: Tensor) -> None:
    assert torch.equal(unpack_states(pack_states(codes), codes.shape[-1]), codes)


@given(dense_codes())
@quick
def test_a_state_lists_its_ones_in_order_and_then_empty_places(codes: Tensor) -> None:
    states, latents = pack_states(codes), codes.shape[-1]
    assert states.dtype is torch.int16
    assert states.shape[-1] == max(1, int(codes.sum(-1).max()))
    for state, code in zip(states.view(-1, states.shape[-1]), codes.view(-1, latents), strict=True):
        ones = [bit for bit in range(latents) if code[bit]]
        assert state.tolist() == ones + [latents] * (len(state) - len(ones))


@given(dense_codes(), st.integers(1, 60))
@quick
def test_places_come_and_go_without_changing_a_code(codes: Tensor, places: int) -> None:
    latents, packed = codes.shape[-1], pack_states(codes)
    wide = widen(packed, places, latents)
    assert wide.shape[-1] == max(places, packed.shape[-1])
    assert torch.equal(unpack_states(wide, latents), codes)
    assert torch.equal(trim(wide, latents), packed)
    assert torch.equal(count_ones(wide, latents), codes.sum(-1))


def test_joining_states_of_different_widths() -> None:
    few, many = torch.eye(5)[None, :2], torch.ones(1, 3, 5)
    joined = concatenate([pack_states(few), pack_states(many)], 5)
    assert torch.equal(unpack_states(joined, 5), torch.cat([few, many], 1).bool())


# --- flipping


@given(dense_codes(), st.integers(0, 2**16))
@quick
def test_a_flip_changes_one_bit_and_a_second_one_changes_it_back(codes: Tensor, seed: int) -> None:
    latents = codes.shape[-1]
    bits = torch.randint(0, latents, codes.shape[:-1], generator=generator(seed))
    flipped = flip_bits(pack_states(codes), bits, latents)
    expected = codes ^ (torch.arange(latents) == bits[..., None])
    assert torch.equal(unpack_states(flipped, latents), expected)
    assert torch.equal(trim(flipped, latents), pack_states(expected))  # in the one valid form
    again = flip_bits(flipped, bits, latents)
    assert torch.equal(unpack_states(again, latents), codes)


@given(dense_codes())
@quick
def test_flipping_the_empty_place_changes_nothing(codes: Tensor) -> None:
    latents, packed = codes.shape[-1], pack_states(codes)
    flipped = flip_bits(packed, torch.full(codes.shape[:-1], latents), latents)
    assert torch.equal(trim(flipped, latents), packed)


# --- hashing


@pytest.mark.parametrize("latents", [8, 12])
def test_no_two_states_have_one_hash(latents: int) -> None:
    hashes = hash_states(every_state(latents), hash_keys(latents, generator=generator()))
    assert hashes.unique().numel() == 2**latents


def test_empty_places_do_not_count() -> None:
    keys, states = hash_keys(6, generator=generator()), every_state(6)
    assert torch.equal(hash_states(widen(states, 20, 6), keys), hash_states(states, keys))


@given(st.lists(st.lists(st.integers(-3, 3), min_size=5, max_size=5), min_size=1, max_size=4))
@quick
def test_repeated_marks_all_but_the_first(rows: list[list[int]]) -> None:
    expected = [[value in row[:place] for place, value in enumerate(row)] for row in rows]
    assert repeated(torch.tensor(rows)).tolist() == expected


# --- sets of states


def numbered(patches: int, states: int, latents: int) -> VariationalStates:
    log_joints = torch.arange(patches * states, dtype=torch.float).view(patches, states)
    return VariationalStates(some_states(patches, states, latents), log_joints)


def test_taking_and_choosing() -> None:
    sets = numbered(4, 5, 6)
    taken = sets.take(torch.tensor([2, 0]))
    assert torch.equal(taken.states, sets.states[[2, 0]])
    assert torch.equal(taken.log_joints, sets.log_joints[[2, 0]])
    chosen = taken.choose(torch.tensor([[4, 1], [0, 0]]))
    assert chosen.log_joints.tolist() == [[14, 11], [0, 0]]
    assert torch.equal(chosen.states[0], sets.states[2, [4, 1]])
    assert torch.equal(chosen.states[1], sets.states[0, [0, 0]])


def test_putting_makes_room_for_more_ones() -> None:
    sparse = VariationalStates(
        pack_states(torch.eye(6)[None].expand(3, -1, -1)[:, :2]), torch.zeros(3, 2)
    )
    before = unpack_states(sparse.states, 6)
    dense = torch.stack([torch.ones(6), torch.zeros(6)])[None]
    sparse.put(
        torch.tensor([1]), VariationalStates(pack_states(dense), torch.tensor([[7.0, 8.0]])), 6
    )
    after = unpack_states(sparse.states, 6)
    assert torch.equal(after[1], dense[0].bool())
    assert torch.equal(after[[0, 2]], before[[0, 2]])
    assert sparse.log_joints.tolist() == [[0, 0], [7, 8], [0, 0]]


# --- the first states


@pytest.mark.parametrize(
    ("latents", "states"),
    [
        *((latents, 2**latents) for latents in (1, 2, 3, 6, 8, 10, 12)),
        *((latents, 2**latents - 1) for latents in (2, 5, 10, 11)),
        *((latents, 64) for latents in (7, 12, 13, 16, 20, 64, 512)),
        *((latents, 1) for latents in (1, 13, 512)),
        (13, 2**13),
        (14, 1500),
        (20, 3000),
        (512, 1500),
    ],
)
@pytest.mark.parametrize("active", [0.01, 2.0, 1000.0])
def test_the_first_states_of_a_patch_are_distinct(latents: int, states: int, active: float) -> None:
    first = initial_states(5, states, latents, active=active, generator=generator())
    assert first.states.shape[:2] == first.log_joints.shape == (5, states)
    assert first.states.dtype is torch.int16
    assert 0 <= first.states.min() <= first.states.max() <= latents
    packed = pack_states(unpack_states(first.states, latents))
    assert torch.equal(trim(first.states, latents), packed)  # in the one valid form
    assert are_distinct(first.states, latents)
    assert (first.log_joints == -math.inf).all()


def test_the_first_states_are_as_sparse_as_wanted_and_use_every_latent() -> None:
    first = initial_states(2000, 8, 512, active=2.0, generator=generator())
    ones = count_ones(first.states, 512).double()
    # A little above 2, as the sparsest codes are few and may not stand twice.
    assert 1.8 < ones.mean() < 2.6
    assert unpack_states(first.states, 512).any(0).any(0).float().mean() > 0.95


@pytest.mark.parametrize("latents", [12, 64])
def test_patches_start_with_different_states(latents: int) -> None:
    first = initial_states(50, 8, latents, active=2.0, generator=generator())
    sets = {frozenset(each) for each in code_sets(first.states, latents)}
    assert len(sets) > 40


def test_the_states_of_many_patches_take_little_memory() -> None:
    """Two bytes for each of a handful of places; a dense code would take 512 bytes."""
    first = initial_states(1000, 8, 512, active=2.0, generator=generator())
    assert first.states.numel() * first.states.element_size() < 1000 * 8 * 32


# --- survival of the best


def as_pairs(sets: VariationalStates, patch: int, latents: int) -> list[tuple[float, str]]:
    codes = unpack_states(sets.states[patch], latents).int()
    return [
        (value, str(code.tolist()))
        for value, code in zip(sets.log_joints[patch].tolist(), codes, strict=True)
    ]


@given(st.integers(0, 2**16), st.integers(1, 6), st.integers(1, 12))
@quick
def test_the_best_of_old_and_new_are_kept(seed: int, count: int, candidates: int) -> None:
    """Against a plain sort; candidates may repeat a state or each other."""
    latents, source = 4, generator(seed)
    values = torch.randn(3, 2**latents, generator=source)  # one for each code
    order = torch.rand(3, 2**latents, generator=source).argsort(1)[:, :count]
    new = torch.randint(0, 2**latents, (3, candidates), generator=source)
    codes = every_code(latents)
    old_sets = VariationalStates(pack_states(codes[order]), values.gather(1, order))
    new_sets = VariationalStates(pack_states(codes[new]), values.gather(1, new))
    best, replaced = keep_best(old_sets, new_sets, hash_keys(latents, generator=source), latents)
    for patch in range(3):
        old_pairs = set(as_pairs(old_sets, patch, latents))
        everything = old_pairs | set(as_pairs(new_sets, patch, latents))
        expected = sorted(everything, reverse=True)[:count]
        assert as_pairs(best, patch, latents) == expected  # best first
        assert replaced[patch] == len(set(expected) - old_pairs)


@pytest.mark.parametrize("worthless", [math.nan, -math.inf, math.inf])
def test_what_cannot_be_evaluated_is_not_kept(worthless: float) -> None:
    states = every_state(3, 2)
    current = VariationalStates(states[:, :3], torch.tensor([[-5.0, -1e30, 3.0]] * 2))
    values = torch.full((2, 5), worthless)
    values[0, 2] = 1.0
    best, replaced = keep_best(
        current, VariationalStates(states[:, 3:], values), hash_keys(3, generator=generator()), 3
    )
    assert best.log_joints.tolist() == [[3.0, 1.0, -5.0], [3.0, -5.0, torch.tensor(-1e30).item()]]
    assert replaced.tolist() == [1, 0]
    assert torch.equal(unpack_states(best.states[0, 1], 3), every_code(3)[5])


@pytest.mark.parametrize("lost", [-math.inf, math.nan])
def test_a_state_that_has_lost_its_value_is_not_replaced_by_a_second_copy(lost: float) -> None:
    states = every_state(3)
    current = VariationalStates(states[:, :3], torch.tensor([[0.0, -1.0, lost]]))
    again = VariationalStates(states[:, :2], torch.tensor([[0.0, -1.0]]))
    best, _ = keep_best(current, again, hash_keys(3, generator=generator()), 3)
    assert are_distinct(best.states, 3)
