"""What the tests of the command line share."""

import gc
import multiprocessing
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from files import COLOUR, GRAY, GRAY16, REFUSED_FILES, REFUSED_IMAGES
from PIL import Image as PillowImage


def pytest_collection_finish() -> None:
    """Spare the garbage collector, which napari calls often, all that stays to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a good image, a bad one of each kind, and references that do not fit."""
    folder = tmp_path_factory.mktemp("templates")
    PillowImage.fromarray(GRAY).save(folder / "noisy.png")
    for name, (make, _) in {**REFUSED_FILES, **REFUSED_IMAGES}.items():
        make(folder / name)
    PillowImage.fromarray(GRAY[:-1]).save(folder / "smaller.png")
    PillowImage.fromarray(COLOUR).save(folder / "colour.png")
    PillowImage.fromarray(GRAY16).save(folder / "deeper.png")
    np.save(folder / "float.npy", GRAY.astype(np.float32))
    np.save(folder / "flat.npy", np.ones(GRAY.shape, np.float32))
    np.save(folder / "holes.npy", np.where(GRAY > 128, np.nan, GRAY).astype(np.float32))
    np.save(folder / "long.npy", GRAY.astype(np.int64))
    shutil.copy(folder / "noisy.png", folder / "no_ending")
    shutil.copy(folder / "noisy.png", folder / "existing.png")
    shutil.copy(folder / "noisy.png", folder / "done.png")
    shutil.copy(folder / "noisy.png", folder / "done_denoised.png")
    (folder / "link.png").symlink_to("noisy.png")
    (folder / "cleaned").mkdir()
    return folder


@pytest.fixture
def folder(templates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a copy of that folder."""
    copy = tmp_path / "work"
    shutil.copytree(templates, copy, symlinks=True)
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers of batches be forked off a server that has torch; spawned, each loads it anew.

    For tests of what is said of a batch; those of the workers themselves have them spawned.
    """
    if "forkserver" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["torch", "evodenoise.denoising.denoise"])
        double = SimpleNamespace(get_context=lambda _: context)
        monkeypatch.setattr("evodenoise.jobs.pool.multiprocessing", double)
