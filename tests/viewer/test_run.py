"""A layer denoised on a thread, watched and told to stop; without napari."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from layers_without_napari import FakeLayer
from pictures import add_noise, as_dtype, psnr, wave

from evodenoise import denoise, preset_config
from evodenoise.denoising.pages import denoise_pages
from evodenoise.errors import ConfigError
from evodenoise.viewer.layers import LayerImage, Pages
from evodenoise.viewer.outcome import Outcome
from evodenoise.viewer.run import Run
from evodenoise.viewer.sample import noisy_cells
from evodenoise.viewer.wanted import Wanted, read_level

CLEAN = wave(18, 20)
NOISY = as_dtype(add_noise(CLEAN), "uint8")
FAST = {"preset": "fast", "device": "cpu"}
CONFIG = replace(preset_config("fast", NOISY.shape), device="cpu")
LONGEST = 120.0


def make_run(data: Any, *, rgb: bool = False, every: float = 0.0, **wanted: Any) -> Run:
    return Run(LayerImage.of(FakeLayer(data, rgb=rgb)), Wanted(**FAST, **wanted), every=every)


def finish(run: Run) -> Outcome:
    run.start()
    run.wait(LONGEST)
    assert not run.running
    assert run.error is None
    assert run.outcome is not None
    return run.outcome


def test_a_layer_as_the_library_would_denoise_it() -> None:
    run = make_run(NOISY)
    (data, shown, _), (std, _, _), (residual, _, _) = finish(run).layers
    expected = denoise(NOISY, CONFIG)
    np.testing.assert_array_equal(data, expected.image)
    np.testing.assert_array_equal(std, expected.std)
    np.testing.assert_array_equal(residual, NOISY.astype(np.float32) - expected.image)
    assert data.dtype == np.uint8
    assert shown["metadata"]["evodenoise"]["noise_std"] == expected.noise_std
    assert run.share == pytest.approx(1, abs=0.2)


def test_previews_change_nothing_and_end_as_the_image() -> None:
    watched, alone = make_run(NOISY), make_run(NOISY, preview=False)
    first, second = finish(watched), finish(alone)
    np.testing.assert_array_equal(first.layers[0][0], second.layers[0][0])
    assert alone.preview is None
    assert watched.preview is not None
    assert watched.preview.number > 1
    assert watched.preview.data.dtype == NOISY.dtype
    assert psnr(CLEAN, watched.preview.data) > psnr(CLEAN, NOISY) + 3


def test_previews_are_rare() -> None:
    run = make_run(NOISY, every=3600.0)
    finish(run)
    assert run.preview is None


def test_colours_with_opacity() -> None:
    colour = as_dtype(add_noise(wave(14, 15, channels=3)), "uint8")
    data = np.concatenate([colour, np.full((14, 15, 1), 200, np.uint8)], -1)
    data[:4, :4, 3] = 0
    run = make_run(data, rgb=True)
    (result, shown, _), (std, _, _), (residual, _, _) = finish(run).layers
    assert shown["rgb"] is True
    np.testing.assert_array_equal(result[..., 3], data[..., 3])
    np.testing.assert_array_equal(result[:4, :4], data[:4, :4])
    assert std.shape == residual.shape == (14, 15)
    assert not std[:4, :4].any()
    assert not residual[:4, :4].any()
    assert (result[4:, 4:, :3] != data[4:, 4:, :3]).mean() > 0.5
    assert run.preview is not None
    assert run.preview.data.shape == data.shape


STACK = np.stack([NOISY, NOISY[::-1]])


def test_each_page_by_itself_as_the_command_does() -> None:
    run = make_run(STACK[None])
    expected = denoise_pages(STACK, CONFIG)
    np.testing.assert_array_equal(finish(run).layers[0][0], expected.image[None])
    assert run.preview is not None
    # Both pages were shown in the end.
    assert (run.preview.data != STACK[None]).mean((0, 2, 3)).min() > 0.5


def test_all_pages_by_one_model_and_only_the_one_that_is_shown() -> None:
    joint = finish(make_run(STACK, pages=Pages.JOINT)).layers[0][0]
    assert joint.shape == STACK.shape
    image = LayerImage.of(FakeLayer(STACK)).page([1], [0.0] * 3)
    alone = finish(Run(image, Wanted(**FAST, pages=Pages.SHOWN))).layers[0][0]
    expected = denoise(STACK[1], CONFIG)
    np.testing.assert_array_equal(alone, expected.image[None])
    assert (joint[1] != alone[0]).any()


def test_missing_pixels_are_filled() -> None:
    holes = np.where(np.eye(18, 20) > 0, np.nan, CLEAN)
    data = finish(make_run(holes)).layers[0][0]
    assert np.isfinite(data).all()


@pytest.mark.parametrize(
    ("data", "wanted", "said"),
    [
        (NOISY[:3], {}, "cells: 20 x 3 pixels; at least 4 x 4 are needed"),
        (np.where(NOISY > 200, np.inf, NOISY), {}, "infinite"),
        (np.full((8, 8), np.nan), {}, "every pixel is missing"),
        (np.stack([CLEAN, np.full(CLEAN.shape, np.nan)]), {}, "every pixel of page 2 is missing"),
        (NOISY, {"sigma": -1.0}, "noise level is -1"),
        (NOISY, {"sigma": 1e4}, "more than the image varies"),
        (NOISY, {"device": "gpu"}, "device 'gpu' is unknown"),
    ],
)
def test_refused_in_one_line(data: Any, wanted: dict[str, Any], said: str) -> None:
    run = Run(LayerImage.of(FakeLayer(data)), Wanted(**{**FAST, **wanted}))
    run.start()
    run.wait(LONGEST)
    assert run.outcome is None
    assert run.error is not None
    assert said in run.error
    assert "\n" not in run.error


def test_what_nobody_foresaw_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from evodenoise.denoising import denoise as pipeline

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the moon is full\nand more")

    monkeypatch.setattr(pipeline, "denoise_stack", fail)
    run = make_run(NOISY)
    run.start()
    run.wait(LONGEST)
    assert run.error == "cells: RuntimeError: the moon is full"


@contextmanager
def halted(run: Run, monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """Halt a run where it first tells something, and go on after the block."""
    reached, go_on = threading.Event(), threading.Event()
    method: Callable[..., None] = getattr(run, name)

    def halt(*told: object) -> None:
        reached.set()
        assert go_on.wait(LONGEST)
        method(*told)

    monkeypatch.setattr(run, name, halt)
    run.start()
    assert reached.wait(LONGEST)
    yield
    go_on.set()
    run.wait(LONGEST)


@pytest.mark.parametrize("name", ["_on_epoch", "_on_estimate", "_on_reconstruction"])
def test_cancelled(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(NOISY)
    with halted(run, monkeypatch, name):
        assert run.running
        run.cancel()
    assert not run.running
    assert run.outcome is None
    assert run.error is None


def test_what_is_done_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(STACK)
    assert run.said == "starting"
    with halted(run, monkeypatch, "_on_estimate"):
        assert run.said.startswith("page 1 of 2, learning, epoch 1, ")
        assert run.said.endswith(" s left")
        assert 0 < run.share < 1
    assert run.phase == "page 2 of 2, finishing"


def test_without_noise_there_is_nothing_to_do() -> None:
    outcome = finish(make_run(np.full((8, 8), 7.0)))
    np.testing.assert_array_equal(outcome.layers[0][0], 7.0)
    assert [shown["name"] for _, shown, _ in outcome.layers] == ["cells denoised", "cells residual"]
    assert outcome.cautions == ("no noise was found; nothing but missing pixels was changed",)


def test_layers_that_are_not_wanted() -> None:
    outcome = finish(make_run(NOISY, uncertainty=False, residual=False))
    assert len(outcome.layers) == 1
    assert outcome.said.startswith("noise level ")


@pytest.mark.parametrize(
    ("text", "level"), [("auto", None), (" Auto ", None), ("", None), ("2.5", 2.5), ("1e-3", 1e-3)]
)
def test_noise_levels_that_are_typed(text: str, level: float | None) -> None:
    assert read_level(text) == level


def test_no_noise_level() -> None:
    with pytest.raises(ConfigError, match="noise level 'much' is no number"):
        read_level("much")


def test_the_sample_is_always_the_same() -> None:
    (data, shown, kind), (again, _, _) = *noisy_cells(), *noisy_cells()
    np.testing.assert_array_equal(data, again)
    assert (data.dtype, data.shape, kind) == (np.uint16, (256, 256), "image")
    assert len(shown["scale"]) == len(shown["units"]) == data.ndim
