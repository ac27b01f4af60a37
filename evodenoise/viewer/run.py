"""A layer denoised on a thread of its own, which can be looked at and told to stop at any time.

Whoever shows it asks now and then (`Run.share`, `Run.preview`, ...); nothing waits for anybody.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evodenoise.config.settings import DenoiseConfig
from evodenoise.errors import EvodenoiseError, ImageError
from evodenoise.jobs.forecast import describe_seconds, forecast_stages
from evodenoise.jobs.progress import ImageProgress
from evodenoise.viewer.layers import Array, LayerImage, Mask, Pages, Pixels
from evodenoise.viewer.outcome import Outcome
from evodenoise.viewer.wanted import Wanted

if TYPE_CHECKING:
    from evodenoise.denoising.result import DenoiseResult
    from evodenoise.tvae.training import EpochReport

PREVIEW_SECONDS = 2.0
"""From one estimate to the next, at least."""

PREVIEW_SHARE = 0.1
"""Of the time, at most, that goes into estimates that are shown."""

logger = logging.getLogger(__name__)


class Preview(NamedTuple):
    """An estimate on the way: which one it is, from 1, and its pixels as in the layer."""

    number: int
    data: Array


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
        self._begin("reading the noise")
        result = self._call(pixels, config, missing, apart=apart)
        self._begin("finishing")
        seconds = time.perf_counter() - started
        return Outcome.of(self.image, self.wanted, pixels, result, seconds)

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
