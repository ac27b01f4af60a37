"""Models of groups of patches by definition: numpy, one patch after the other, double precision."""

import numpy as np
import numpy.typing as npt
import scipy.linalg

Floats = npt.NDArray[np.float64]
Corner = tuple[int, int]


def patch(image: Floats, corner: Corner, side: int) -> Floats:
    y, x = corner
    return image[y : y + side, x : x + side].ravel()


def places(count: int, step: int) -> list[int]:
    return sorted({*range(0, count, step), count - 1})


def groups(image: Floats, *, side: int, members: int, radius: int, step: int) -> list[list[Corner]]:
    """List, for each reference patch, the corners of the patches next to it, itself first."""
    rows, columns = image.shape[0] - side + 1, image.shape[1] - side + 1
    found = []
    for y in places(rows, step):
        for x in places(columns, step):
            near = [
                (v, u)
                for v in range(max(0, y - radius), min(rows, y + radius + 1))
                for u in range(max(0, x - radius), min(columns, x + radius + 1))
            ]
            reference = patch(image, (y, x), side)
            near.sort(key=lambda corner: np.sum((patch(image, corner, side) - reference) ** 2))
            found.append(near[:members])
    return found


class Average:
    """The weighted mean of patches at each pixel."""

    def __init__(self, shape: tuple[int, ...], side: int) -> None:
        self.total, self.weight, self.side = np.zeros(shape), np.zeros(shape), side

    def add(self, corner: Corner, values: Floats, weight: float) -> None:
        y, x = corner
        window = slice(y, y + self.side), slice(x, x + self.side)
        self.total[window] += weight * values.reshape(self.side, self.side, -1)
        self.weight[window] += weight

    def image(self) -> Floats:
        return self.total / self.weight


def gaussian(
    noisy: Floats,
    pilot: Floats,
    noise_variance: float,
    *,
    side: int,
    members: int,
    radius: int,
    step: int,
    relative: Floats | None = None,
) -> Floats:
    """Average the posterior means under the Gaussian of each group in the pilot.

    The noise of a patch has the covariance `relative`, (D, D), times its variance.
    """
    average = Average(noisy.shape, side)
    for group in groups(pilot, side=side, members=members, radius=radius, step=step):
        prior = np.stack([patch(pilot, corner, side) for corner in group])
        mean, covariance = prior.mean(0), np.cov(prior.T, bias=True)
        noise = noise_variance * (np.eye(len(mean)) if relative is None else relative)
        inverse = np.linalg.inv(covariance + noise)
        posterior = covariance - covariance @ inverse @ covariance
        weight = 1 / (np.trace(posterior) / len(mean) / noise_variance + 0.02)
        for corner in group:
            deviation = patch(noisy, corner, side) - mean
            average.add(corner, mean + covariance @ inverse @ deviation, weight)
    return average.image()


def shrink(group: Floats, noise_variance: float) -> tuple[Floats, int]:
    """Shrink the singular values of a centred group (M, D) in closed form; return the rank, too."""
    mean = group.mean(0)
    left, values, right = np.linalg.svd(group - mean, full_matrices=False)
    weight = 2 * np.sqrt(2) * np.sqrt(len(group)) * noise_variance
    roots = np.sqrt(np.maximum(values**2 - 4 * weight, 0))
    shrunk = np.where(values**2 > 4 * weight, (values + roots) / 2, 0)
    return left @ np.diag(shrunk) @ right + mean, int(np.sum(shrunk > 0))


def low_rank(
    noisy: Floats,
    pilot: Floats,
    noise_variance: float,
    *,
    side: int,
    members: int,
    radius: int,
    step: int,
    iterations: int,
    remaining: float,
    relative: Floats | None = None,
) -> Floats:
    """Shrink groups again and again, a tenth of what was removed fed back.

    The noise of a patch has the covariance `relative`, (D, D), times its variance; groups are
    shrunk where it is white.
    """
    root = np.eye(side**2 * noisy.shape[2]) if relative is None else scipy.linalg.sqrtm(relative)
    estimate, current, found = pilot, noisy, []
    fewer = -(-4 * members // 5)
    for iteration in range(iterations):
        if iteration % 2 == 0:
            found = groups(estimate, side=side, members=members, radius=radius, step=step)
            members = fewer
        if iteration:
            current = estimate + 0.1 * (noisy - estimate)
        average = Average(noisy.shape, side)
        for group in found:
            noise = noise_variance
            if iteration:
                removed = patch(noisy, group[0], side) - patch(current, group[0], side)
                removed = np.linalg.solve(root, removed)
                noise = remaining**2 * abs(noise_variance - np.mean(removed**2))
            patches = np.stack([patch(current, each, side) for each in group])
            shrunk, rank = shrink(np.linalg.solve(root, patches.T).T, noise)
            for corner, values in zip(group, shrunk @ root, strict=True):
                average.add(corner, values, 1 / (1 + rank))
        estimate = average.image()
    return estimate
