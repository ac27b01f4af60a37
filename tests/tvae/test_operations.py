"""How much is asked of a device for a mini-batch, and how often it is waited for.

On a GPU every operation takes some microseconds to launch, however few values it has, and after a
wait it has nothing to do until the host has caught up. Counted on the CPU, in the sizes of a GPU.
"""

from typing import Any, TypeVar

import pytest
import torch
from operations import Operations
from oracle import generator

from evodenoise.config.settings import DenoiseConfig
from evodenoise.nonlocal_models import matching
from evodenoise.nonlocal_models.matching import GroupSettings, match_groups
from evodenoise.tvae import batches
from evodenoise.tvae.adam import Adam
from evodenoise.tvae.e_step import EStep
from evodenoise.tvae.evolution import Variation
from evodenoise.tvae.m_step import gradient_steps
from evodenoise.tvae.model import BinaryLatentVAE
from evodenoise.tvae.observations import CompletePatches
from evodenoise.tvae.posterior import truncate_posterior
from evodenoise.tvae.reconstruction import Reconstructor, collect_codebook
from evodenoise.tvae.states import initial_states
from evodenoise.tvae.training import fit

CONFIG = DenoiseConfig(latents=64, hidden=(16,), states=6, settling_rounds=3, settled=0.0)
PATCHES, PIXELS = 300, 16
Result = TypeVar("Result")


class Scene:
    """A model, patches and their states, as in the middle of a run."""

    def __init__(self, patches: int = PATCHES) -> None:
        self.source = generator()
        model = BinaryLatentVAE(64, (16,), PIXELS, covariance=True, generator=self.source)
        model.unlock(0.1)
        self.model = model
        self.patches = CompletePatches(torch.randn(patches, PIXELS, generator=self.source))
        first = initial_states(patches, 6, 64, active=2.0, generator=self.source)
        variation = Variation.of(CONFIG.evolution, 64, generator=self.source)
        self.e_step = EStep.measured(model, variation, first.states[:, 0])
        self.current = self.e_step.evaluate(self.patches, first.states)


@pytest.fixture(autouse=True)
def sizes_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "CACHED_STATES", batches.GPU_STATES)
    monkeypatch.setattr(matching, "_blocks_at_once", lambda _: matching.GPU_BLOCKS)


def counted(work: Any) -> Operations:
    with Operations() as operations:
        work()
    return operations


def test_the_counter_sees_what_waits() -> None:
    """Were it blind, the bounds below would hold of anything."""
    values = torch.arange(4.0)
    waits: dict[str, Any] = {
        "_local_scalar_dense": lambda: values[0].item(),
        "nonzero": lambda: values.nonzero(),
        "index": lambda: values[values > 1],
        "tolist": lambda: values.tolist(),
        "_linalg_check_errors": lambda: torch.linalg.cholesky(torch.eye(3)),
    }
    for name, work in waits.items():
        assert counted(work).waits[name] == 1
    assert not counted(lambda: values[torch.tensor([1, 2])] + values.view(2, 2)[0]).waits


def test_an_e_step_waits_for_nothing() -> None:
    """Once 361 operations and 8 waits, evaluation and the choice for the gradient included."""
    scene = Scene()

    def e_step() -> None:
        before = scene.e_step.evaluate(scene.patches, scene.current.states)
        after, _ = scene.e_step(scene.patches, before)
        truncate_posterior(after.log_joints, after.states, 0.8, most=500)

    done = counted(e_step)
    assert not done.waits
    assert sum(done.launches.values()) <= 260


def test_a_gradient_step_waits_for_nothing() -> None:
    """Once 57 operations."""
    scene, optimizer = Scene(), Adam(Scene().model.decoder.parameters())
    optimizer = Adam(scene.model.decoder.parameters())
    sample = truncate_posterior(scene.current.log_joints, scene.current.states, 0.8, most=500)
    done = counted(lambda: gradient_steps(scene.model, optimizer, scene.patches, sample, size=500))
    assert not done.waits
    assert sum(done.launches.values()) <= 55


def epochs(count: int, patches: int) -> Operations:
    scene = Scene(patches)
    config = DenoiseConfig(latents=64, hidden=(16,), states=6, epochs=count, batch_size=50)
    return counted(
        lambda: list(fit(scene.patches, scene.model, scene.current, config, generator=scene.source))
    )


def test_an_epoch_waits_once_however_many_mini_batches_it_has() -> None:
    many, few = (sum(epochs(4, patches).waits.values()) for patches in (600, 100))
    assert many == few
    assert few - sum(epochs(3, 100).waits.values()) == 1


@pytest.mark.parametrize("known", [False, True])
def test_a_rebuilt_mini_batch_waits_once_a_round(known: bool) -> None:
    """To see whether its states have settled; not after the last round. Once 7.5 waits a round."""
    scene = Scene()
    codebook = collect_codebook(
        scene.current.states[:, 0], 6, 64, active=2.0, generator=scene.source
    )
    rebuild = Reconstructor.of(
        scene.model, scene.current, CONFIG, codebook=codebook, generator=scene.source
    )
    places = torch.arange(PATCHES) if known else None
    done = counted(lambda: rebuild(scene.patches, places))
    rounds = CONFIG.settling_rounds
    assert sum(done.waits.values()) <= rounds - 1
    assert sum(done.launches.values()) <= 70 + 235 * rounds


def test_blocks_of_groups_wait_for_nothing_and_are_found_together() -> None:
    """Once 30 operations and 4 waits for each of 25 blocks."""
    image = torch.randn(90, 96, 1, generator=generator())
    done = counted(lambda: list(match_groups(image, GroupSettings(7, 40, 16))))
    strips = 5
    assert not done.waits
    assert sum(done.launches.values()) <= 100 * strips
