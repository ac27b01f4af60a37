"""Means and standard deviations of benchmark records, and what fails is left out."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
SPEEDS = ("training_speed", "reconstruction_speed", "refinement_speed")
MEASURED = (
    *("psnr_noisy", "psnr", "ssim_noisy", "ssim", "noise_std", "cpu_seconds", "wall_seconds"),
    *SPEEDS,
)
JUDGEMENTS = ("calibration", "coverage_68", "coverage_90", "estimated_psnr")
"""What records keep beside it, of how right the denoiser is about its own errors."""

EVERY_IMAGE = "mean"


@dataclass(frozen=True)
class Spread:
    """A mean, and the standard deviation over seeds, None of less than two."""

    mean: float
    std: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise values, one a seed."""
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


@dataclass(frozen=True)
class Group:
    """The records of one image, noise level and preset, or of all images.

    Attributes
    ----------
    image : str
        Its name, or `EVERY_IMAGE`.
    sigma : float
        Noise level.
    preset : str
        Name of the preset.
    seeds, failed : int
        Records that were measured, and records that were not.
    spreads : mapping
        A `Spread` for each of `MEASURED`, empty if nothing was measured.
    """

    image: str
    sigma: float
    preset: str
    seeds: int
    failed: int
    spreads: Mapping[str, Spread]

    def as_dict(self) -> dict[str, Any]:
        """Return all in one level, standard deviations as ``psnr_std`` and so on."""
        found: dict[str, Any] = {
            name: getattr(self, name) for name in ("image", "sigma", "preset", "seeds", "failed")
        }
        for name in MEASURED:
            spread = self.spreads.get(name)
            found[name] = spread and spread.mean
            found[f"{name}_std"] = spread and spread.std
        return found


def group_records(records: Sequence[Record]) -> list[Group]:
    """Summarise records over seeds, image by image, and then over the images.

    Parameters
    ----------
    records : sequence of mappings
        With ``image``, ``sigma``, ``preset``, ``seed``, ``error`` and the values.

    Returns
    -------
    list of Group
        In the order of the records; those over all images last, if there are several. Their spread
        is that of the means over the images, seed by seed.
    """
    images = list(dict.fromkeys(record["image"] for record in records))
    settings = list(dict.fromkeys((record["sigma"], record["preset"]) for record in records))
    groups = []
    for image in [*images, *[EVERY_IMAGE] * (len(images) > 1)]:
        for sigma, preset in settings:
            chosen = [
                record
                for record in records
                if (record["sigma"], record["preset"]) == (sigma, preset)
                and image in (record["image"], EVERY_IMAGE)
            ]
            if chosen:
                groups.append(_group(image, sigma, preset, chosen))
    return groups


def _group(image: str, sigma: float, preset: str, records: Sequence[Record]) -> Group:
    good = [record for record in records if record["error"] is None]
    seeds = list(dict.fromkeys(record["seed"] for record in good))
    spreads = {}
    for name in MEASURED:
        means = [_mean(record[name] for record in good if record["seed"] == seed) for seed in seeds]
        known = [mean for mean in means if mean is not None]
        if known:
            spreads[name] = Spread.of(known)
    return Group(image, sigma, preset, len(seeds), len(records) - len(good), spreads)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
