"""Binary codes stored as the sorted indices of their ones, and sets of them.

A code of H bits with a handful of ones is kept as K 16-bit places: the indices of
the ones in ascending order, the rest filled with H. That is 16 bytes a code at
K = 8 instead of H; it makes equal codes equal row by row, and turns the
decoder's first layer into a sum of K rows. K grows when a code needs more places.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

STATE_DTYPE = torch.int16
INITIAL_POOL = 1021
"""Codes that the patches draw their first states from, unless they need more; prime."""
ENUMERABLE_LATENTS = 12
"""Up to this H all codes are listed instead of drawn."""


def pack_states(codes: Tensor) -> Tensor:
    """Turn dense codes into indices of ones.

    Parameters
    ----------
    codes : Tensor of bool, shape (..., H)
        Dense binary codes.

    Returns
    -------
    Tensor of int16, shape (..., K)
        Ascending indices of the ones, filled up with H; K is the largest number of ones.
    """
    latents = codes.shape[-1]
    indices = torch.arange(latents, device=codes.device, dtype=STATE_DTYPE)
    return trim(torch.where(codes.bool(), indices, latents).sort(-1).values, latents)


def unpack_states(states: Tensor, latents: int) -> Tensor:
    """Turn indices of ones into dense codes; the inverse of `pack_states`.

    Parameters
    ----------
    states : Tensor of int16, shape (..., K)
        Indices of ones, filled up with H.
    latents : int
        H.

    Returns
    -------
    Tensor of bool, shape (..., H)
        Dense binary codes.
    """
    codes = torch.zeros(*states.shape[:-1], latents + 1, dtype=torch.bool, device=states.device)
    return codes.scatter_(-1, states.long(), True)[..., :latents]


def count_ones(states: Tensor, latents: int) -> Tensor:
    """Count the ones of each state: (..., K) to (...)."""
    return (states < latents).sum(-1)


def trim(states: Tensor, latents: int) -> Tensor:
    """Drop the trailing places that no state uses; at least one place stays."""
    used = int(count_ones(states, latents).max()) if states.numel() else 0
    return states[..., : max(used, 1)]


def widen(states: Tensor, places: int, latents: int) -> Tensor:
    """Append empty places until there are at least `places` of them."""
    missing = places - states.shape[-1]
    return F.pad(states, (0, missing), value=latents) if missing > 0 else states


def flip_bits(states: Tensor, bits: Tensor, latents: int) -> Tensor:
    """Flip one bit of each state.

    Parameters
    ----------
    states : Tensor of int16, shape (..., K)
        Indices of ones.
    bits : Tensor of integers, shape (...)
        The bit to flip, 0 to H-1, or H to leave the state as it is.
    latents : int
        H.

    Returns
    -------
    Tensor of int16, shape (..., K + 1)
        The changed states.
    """
    bit = bits[..., None].to(STATE_DTYPE)
    hit = states == bit
    removed = states.masked_fill(hit, latents)
    added = bit.masked_fill(hit.any(-1, keepdim=True), latents)
    return torch.cat([removed, added], dim=-1).sort(-1).values


def concatenate(parts: Sequence[Tensor], latents: int, dim: int = 1) -> Tensor:
    """Join tensors of states (..., K) along a dimension, giving all the most places of any."""
    places = max(part.shape[-1] for part in parts)
    return torch.cat([widen(part, places, latents) for part in parts], dim=dim)


def hash_keys(latents: int, *, generator: torch.Generator) -> Tensor:
    """Draw one 64-bit key per latent for `hash_states` (Zobrist hashing).

    Returns
    -------
    Tensor of int64, shape (H + 1,)
        Random keys; that of the empty place is 0.
    """
    low, high = torch.iinfo(torch.int64).min, torch.iinfo(torch.int64).max
    keys = torch.randint(low, high, (latents + 1,), generator=generator, device=generator.device)
    keys[latents] = 0
    return keys


def hash_states(states: Tensor, keys: Tensor) -> Tensor:
    """Hash states to 64 bits: the sum of the keys of their ones, modulo 2^64.

    Two different states collide with probability 2^-64; a collision would only
    discard a candidate.
    """
    return keys.index_select(0, states.int().flatten()).view(states.shape).sum(-1)


def repeated(hashes: Tensor) -> Tensor:
    """Mark every entry of a row that stands in the row already.

    Parameters
    ----------
    hashes : Tensor of int64, shape (N, M)
        Hashes.

    Returns
    -------
    Tensor of bool, shape (N, M)
        True at each but the first occurrence.
    """
    ordered, order = hashes.sort(dim=-1, stable=True)
    again = torch.zeros_like(hashes, dtype=torch.bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return torch.zeros_like(again).scatter_(-1, order, again)


@dataclass
class VariationalStates:
    """The truncated posteriors' support: S distinct codes per patch.

    Attributes
    ----------
    states : Tensor of int16, shape (N, S, K)
        Indices of ones, as `pack_states` makes them.
    log_joints : Tensor of float, shape (N, S)
        log p(x_n, z) of each state, in nats, when it was last evaluated.
    """

    states: Tensor
    log_joints: Tensor

    def take(self, patches: Tensor) -> "VariationalStates":
        """Copy the sets of some patches (indices of shape (B,))."""
        return VariationalStates(self.states[patches], self.log_joints[patches])

    def choose(self, chosen: Tensor) -> "VariationalStates":
        """Copy some states of each patch (indices of shape (N, M))."""
        places = chosen[..., None].expand(-1, -1, self.states.shape[-1])
        return VariationalStates(self.states.gather(1, places), self.log_joints.gather(1, chosen))

    def put(self, patches: Tensor, other: "VariationalStates", latents: int) -> None:
        """Store the sets of some patches (indices of shape (B,)), adding places if need be."""
        self.states = widen(self.states, other.states.shape[-1], latents)
        self.states[patches] = widen(other.states, self.states.shape[-1], latents)
        self.log_joints[patches] = other.log_joints


def initial_states(
    patches: int, states: int, latents: int, *, active: float, generator: torch.Generator
) -> VariationalStates:
    """Draw S distinct sparse states for every patch.

    Each patch walks through one shared pool of distinct codes with a start and a
    stride of its own, so that its states are distinct by construction.

    Parameters
    ----------
    patches, states, latents : int
        N, S and H.
    active : float
        Ones of a state, on average.
    generator : torch.Generator
        Source of randomness; its device is the result's.

    Returns
    -------
    VariationalStates
        Log-joints are -inf: not yet evaluated.
    """
    pool = _distinct_codes(states, latents, active, generator)
    size, device = pool.shape[0], generator.device
    # Any stride visits all of a prime-sized pool; another pool is walked in order.
    highest = size if size == INITIAL_POOL else 2
    strides = torch.randint(1, highest, (patches, 1), generator=generator, device=device)
    starts = torch.randint(0, size, (patches, 1), generator=generator, device=device)
    chosen = (starts + strides * torch.arange(states, device=device)) % size
    log_joints = torch.full((patches, states), -torch.inf, device=device)
    return VariationalStates(pool[chosen], log_joints)


def _distinct_codes(states: int, latents: int, active: float, generator: torch.Generator) -> Tensor:
    """Make a pool of at least S distinct codes: the sparsest of all if they can be listed."""
    device = generator.device
    wanted = max(states, INITIAL_POOL)
    if latents <= ENUMERABLE_LATENTS:
        bits = torch.arange(latents, device=device)
        every = torch.arange(2**latents, device=device)[:, None] >> bits & 1
        sparsest = every[every.sum(-1).argsort(stable=True)]
        return pack_states(sparsest[:wanted])
    keys = hash_keys(latents, generator=generator)[:latents]
    pool = torch.zeros(0, latents, dtype=torch.bool, device=device)
    probability = min(0.5, active / latents)
    while len(pool) < wanted:
        draws = torch.rand(wanted, latents, generator=generator, device=device) < probability
        grown = torch.cat([pool, draws])
        grown = grown[~repeated((grown * keys).sum(-1)[None])[0]]
        if len(grown) - len(pool) < wanted // 8:  # few codes as sparse as these are left
            probability = (probability + 0.5) / 2
        pool = grown
    return pack_states(pool[:wanted])


def keep_best(
    current: VariationalStates, offspring: VariationalStates, keys: Tensor, latents: int
) -> tuple[VariationalStates, Tensor]:
    """Keep the S best distinct states of old and new; the free energy of no patch falls.

    Parameters
    ----------
    current : VariationalStates, (N, S)
        Distinct states with up-to-date log-joints.
    offspring : VariationalStates, (N, M)
        Candidates; those that repeat a state of `current` or each other are dropped.
    keys : Tensor
        As made by `hash_keys`.
    latents : int
        H.

    Returns
    -------
    best : VariationalStates, (N, S)
        The survivors, best first.
    replaced : Tensor of int64, shape (N,)
        How many of them are new.
    """
    count = current.states.shape[1]
    states = concatenate([current.states, offspring.states], latents)
    log_joints = torch.cat([current.log_joints, offspring.log_joints], dim=1)
    # NaN would win every comparison; a state that cannot be evaluated must lose them all.
    rank = log_joints.nan_to_num(nan=-torch.inf, posinf=-torch.inf, neginf=-torch.inf)
    rank.masked_fill_(repeated(hash_states(states, keys)), -torch.inf)
    # A present state that cannot be evaluated any more still goes before such candidates.
    rank[:, :count].clamp_(min=torch.finfo(rank.dtype).min)
    chosen = rank.topk(count, dim=1).indices
    best = VariationalStates(states, log_joints).choose(chosen)
    return best, (chosen >= count).sum(1)
