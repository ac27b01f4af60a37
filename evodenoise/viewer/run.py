"""A layer denoised on a thread of its own, which can be looked at and told to stop at any time.

Whoever shows it asks now and then (`Run.share`, `Run.preview`, ...); nothing waits for anybody.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evodenoise.config.presets import DEFAULT_PRESET
from evodenoise.config.settings import DenoiseConfig
from evodenoise.errors import ConfigError, EvodenoiseError, ImageError
from evodenoise.jobs.forecast import describe_seconds, forecast_stages
from evodenoise.jobs.job import configure
from evodenoise.jobs.job_result import describe_findings
from evodenoise.jobs.progress import ImageProgress
from evodenoise.noise.record import NoiseKind
from evodenoise.noise.uncertainty import NoiseSource
from evodenoise.noise.words import describe_doubt
from evodenoise.viewer.layers import (
    Array,
    LayerImage,
    LayerTuple,
    Mask,
    Pages,
    Pixels,
    denoised_layer,
    describe_result,
    residual_layer,
    uncertainty_layer,
)

if TYPE_CHECKING:
    from evodenoise.denoising.result import DenoiseResult
    from evodenoise.tvae.training import EpochReport

AUTO = "auto"
"""Written where a number may stand, but need not."""

PREVIEW_SECONDS = 2.0
"""From one estimate to the next, at least."""

PREVIEW_SHARE = 0.1
"""Of the time, at most, that goes into estimates that are shown."""

logger = logging.getLogger(__name__)


def read_level(text: str) -> float | None:
    """Read a noise level; None: it is to be read off the image.

    Raises
    ------
    ConfigError
        If it is neither a number nor `AUTO`.
    """
    if text.strip().lower() in ("", AUTO):
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigError(
            f"noise level {text!r} is no number; write one in the units of the image, or {AUTO}"
        ) from None


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a layer.

    Attributes
    ----------
    preset : str
        Name of the preset.
    sigma : float or None
        Noise level, in the units of the layer; None: it is read off it.
    strength : float
        Times that level.
    device : str
        Where to compute.
    pages : Pages
        What becomes of a stack.
    uncertainty, residual : bool
        Which layers are wanted beside the result.
    preview : bool
        Whether estimates are made on the way.
    """

    preset: str = DEFAULT_PRESET
    sigma: float | None = None
    strength: float = 1.0
    device: str = "auto"
    pages: Pages = Pages.PAGES
    uncertainty: bool = True
    residual: bool = True
    preview: bool = True

    def configure(self, page: Array) -> DenoiseConfig:
        """Make settings for a page (Y, X) or (Y, X, C)."""
        given = {"noise_std": self.sigma, "strength": self.strength, "device": self.device}
        return configure(self.preset, page, given)

    def taken_down(self) -> dict[str, Any]:
        """List the settings that decide the result."""
        return {
            "preset": self.preset,
            "sigma": self.sigma,
            "strength": self.strength,
            "pages": self.pages.value,
        }


class Preview(NamedTuple):
    """An estimate on the way: which one it is, from 1, and its pixels as in the layer."""

    number: int
    data: Array


class Outcome(NamedTuple):
    """What came of a run: layers, a sentence on it, and what the user should know."""

    layers: list[LayerTuple]
    said: str
    cautions: tuple[str, ...]


class CancelledError(Exception):
    """The user has had enough."""


class Run:
    """Denoise a layer on a thread, from `start` to the end or `cancel`.

    Parameters
    ----------
    image : LayerImage
        What is denoised.
    wanted : Wanted
        What is wanted of it.
    every : float
        Seconds from one preview to the next, at least.

    Attributes
    ----------
    phase : str
        What is done at present.
    preview : Preview or None
        The last estimate.
    outcome : Outcome or None
        What came of it.
    error : str or None
        Why nothing did, in one line.
    """

    def __init__(
        self, image: LayerImage, wanted: Wanted, *, every: float = PREVIEW_SECONDS
    ) -> None:
        self.image, self.wanted, self.every = image, wanted, every
        self.phase = "starting"
        self.preview: Preview | None = None
        self.outcome: Outcome | None = None
        self.error: str | None = None
        self._progress: ImageProgress | None = None
        self._page = 0
        self._estimate: Array | None = None
        self._next_preview = 0.0
        self._stop = threading.Event()
        # No daemon: torch must not be at work while the interpreter is taken down.
        self._thread = threading.Thread(target=self._work, name="evodenoise")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self) -> None:
        """Ask it to end soon; does not wait."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until it has ended."""
        self._thread.join(seconds)

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to end."""
        return self._stop.is_set()

    @property
    def running(self) -> bool:
        """Whether it is at work."""
        return self._thread.is_alive()

    @property
    def share(self) -> float:
        """How much of the work is done, from 0 to 1."""
        return 0.0 if self._progress is None else self._progress.share

    @property
    def said(self) -> str:
        """What is done at present, and how long the rest takes."""
        left = None if self._progress is None else self._progress.seconds_left
        return self.phase if left is None else f"{self.phase}, {describe_seconds(left)} left"

    def _work(self) -> None:
        try:
            self.outcome = self._denoise()
        except CancelledError:
            pass
        except EvodenoiseError as error:
            self.error = str(error)
        except Exception as error:
            logger.exception("unforeseen")
            reason = (str(error).splitlines() or ["no reason given"])[0]
            self.error = f"{self.image.name}: {type(error).__name__}: {reason}"

    def _denoise(self) -> Outcome:
        started = time.perf_counter()
        self._begin("reading")
        pixels = self.image.read()
        missing = self._check(pixels)
        config = self.wanted.configure(pixels.pages[0])
        count, height, width = map(int, pixels.pages.shape[:3])
        apart = count > 1 and self.wanted.pages is not Pages.JOINT
        self._progress = ImageProgress(
            forecast_stages(
                config,
                (count, height, width, self.image.channels),
                models=count if apart else 1,
                missing_share=0.0 if missing is None else float(missing.mean()),
            ),
            pages=count if apart else 1,
        )
        self._next_preview = started + self.every
        result = self._call(pixels, config, missing, apart=apart)
        self._begin("finishing")
        return self._finish(pixels, result, time.perf_counter() - started)

    def _check(self, pixels: Pixels) -> Mask | None:
        """Refuse what could not end well before anything is done; find what is missing."""
        from evodenoise.denoising.checks import check_image
        from evodenoise.system.device import resolve_device

        self._begin("loading")
        name, pages = self.image.name, pixels.pages
        for page in pages:
            check_image(page, name=name)
        resolve_device(self.wanted.device)
        check_image(pages[0], self.wanted.configure(pages[0]), name=name)
        unknown = np.zeros(pages.shape[:3], bool)
        if pages.dtype.kind == "f":
            unknown |= np.isnan(pages).reshape(*unknown.shape, -1).any(-1)
        if pixels.invisible is not None:
            unknown |= pixels.invisible
        for number, gaps in enumerate(unknown, 1):
            if gaps.all() and (self.wanted.pages is not Pages.JOINT or unknown.all()):
                where = f"of page {number} " if len(unknown) > 1 else ""
                raise ImageError(
                    f"{name}: every pixel {where}is missing; nothing is left to learn from"
                )
        return unknown if unknown.any() else None

    def _call(
        self, pixels: Pixels, config: DenoiseConfig, missing: Mask | None, *, apart: bool
    ) -> "DenoiseResult":
        """Denoise all pages; the result is that of a stack (T, Y, X[, C])."""
        from evodenoise.denoising.denoise import denoise_stack
        from evodenoise.denoising.pages import denoise_pages

        def show(values: Array) -> None:
            self._show(pixels, values, apart=apart)

        method: Callable[..., DenoiseResult] = denoise_stack
        told: dict[str, Any] = {}
        if apart:
            method, told = denoise_pages, {"on_page": self._on_page}
        return method(
            pixels.pages,
            config,
            missing=missing,
            on_epoch=self._on_epoch,
            on_reconstruction=self._on_reconstruction,
            on_refinement=self._on_refinement,
            on_estimate=lambda look: self._on_estimate(look, show),
            **told,
        )

    def _heed(self) -> None:
        """End it here if the user has had enough."""
        if self._stop.is_set():
            raise CancelledError

    def _begin(self, phase: str) -> None:
        """Say what is done next, unless the user has had enough."""
        self._heed()
        count = 0 if self._progress is None else self._progress.pages
        self.phase = f"page {self._page + 1} of {count}, {phase}" if count > 1 else phase

    def _on_page(self, number: int) -> None:
        self._page = number - 1
        self._known_progress.begin_page(number)
        self._begin("reading the noise")

    def _on_epoch(self, report: "EpochReport") -> None:
        self._known_progress.train(report)
        half = " at half the size" if report.scale else ""
        self._begin(f"learning{half}, epoch {report.epoch}")

    def _on_reconstruction(self, share: float) -> None:
        self._known_progress.rebuild(share)
        self._begin("rebuilding")

    def _on_refinement(self, share: float) -> None:
        self._known_progress.refine(share)
        self._begin("refining")

    @property
    def _known_progress(self) -> ImageProgress:
        assert self._progress is not None
        return self._progress

    def _on_estimate(self, look: Callable[[], Array], show: Callable[[Array], None]) -> None:
        """Look at an estimate if one is due, but not so often that it would cost much time."""
        started = time.perf_counter()
        if not self.wanted.preview or started < self._next_preview:
            return
        show(look())
        now = time.perf_counter()
        self._next_preview = now + max(self.every, (now - started) / PREVIEW_SHARE)
        self._heed()

    def _show(self, pixels: Pixels, values: Array, *, apart: bool) -> None:
        """Put an estimate of a page, or of all, where it can be seen."""
        if apart:
            whole = np.array(pixels.pages if self._estimate is None else self._estimate)
            whole[self._page] = values
            values = whole
        self._estimate = values
        number = 1 if self.preview is None else self.preview.number + 1
        self.preview = Preview(number, pixels.put_back(values))

    def _finish(self, pixels: Pixels, result: "DenoiseResult", seconds: float) -> Outcome:
        about = describe_result(result, self.wanted.taken_down())
        data = pixels.put_back(result.image)
        layers = [denoised_layer(self.image, data, about)]
        noise, std = result.noise_estimate, result.std
        if pixels.invisible is not None:
            std = np.where(_like(pixels.invisible, std), np.float32(0), std)
        if self.wanted.uncertainty and std.any():
            layers.append(uncertainty_layer(self.image, pixels, std))
        if self.wanted.residual:
            layers.append(residual_layer(self.image, pixels, result.image))
        kind = noise.kind if result.noise_std else NoiseKind.NONE
        given = NoiseSource.ESTIMATED if self.wanted.sigma is None else NoiseSource.GIVEN
        found = describe_findings(
            result.noise_std,
            given if result.noise_std else NoiseSource.NONE,
            kind,
            result.impulses,
            None,
            None,
        )
        if math.isfinite(result.estimated_rmse) and kind is not NoiseKind.COLOURED:
            found.append(f"errors of about {result.estimated_rmse:.3g} left")
        cautions = [] if noise.consistent else [f"the noise {describe_doubt(noise)}"]
        if not result.noise_std:
            cautions.append("no noise was found; nothing but missing pixels was changed")
        if self.wanted.uncertainty and not std.any():
            cautions.append("nothing is known of the errors; there is no uncertainty")
        said = ", ".join([*found, f"{seconds:.1f} s"])
        return Outcome(layers, said, tuple(cautions))


def _like(mask: Mask, values: Array) -> Mask:
    """Give a mask (T, Y, X) an axis for the channels of values, if they have any."""
    return mask[..., None] if values.ndim > mask.ndim else mask
