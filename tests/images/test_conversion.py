"""What is denoised and what is written: values rounded and clipped, rescaled only on request."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from evodenoise.errors import ConfigError, ImageError
from evodenoise.images import ReadOptions, convert
from evodenoise.images.conversion import Conversion, FileSettings


def read(folder: Path, pixels: np.ndarray, **settings: object) -> Conversion:
    np.save(folder / "in.npy", pixels)
    return Conversion.read(folder / "in.npy", FileSettings(**settings))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float16", "float32", "float64"])
def test_the_same_by_default(tmp_path: Path, dtype: str) -> None:
    pixels = np.arange(80).reshape(8, 10).astype(dtype)
    conversion = read(tmp_path, pixels)
    assert conversion.noisy.dtype == conversion.result(pixels).pixels.dtype == dtype


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("uint8", [0, 0, 2, 255, 255]),
        ("uint16", [0, 0, 2, 300, 65535]),
        ("float32", [-7, 0.5, 1.5, 300, 1e6]),
    ],
)
def test_rounded_and_clipped(tmp_path: Path, dtype: str, expected: list[float]) -> None:
    conversion = read(tmp_path, np.array([[-7, 0.5, 1.5, 300, 1e6]]), dtype=dtype)
    assert conversion.noisy.dtype == np.float64  # as exact as it came
    result = conversion.result(conversion.noisy).pixels
    assert result.dtype == dtype
    assert result.tolist() == [expected]


@pytest.mark.parametrize("dtype", ["uint64", "int64"])
def test_the_largest_integer_does_not_become_the_smallest(dtype: str) -> None:
    white = np.iinfo(dtype).max
    assert convert(np.array([2.0**64, float(white)]), dtype).tolist() == [white, white]


def test_integers_are_denoised_as_floats_for_a_float_result(tmp_path: Path) -> None:
    conversion = read(tmp_path, np.full((8, 10), 7, np.uint16), dtype="float32")
    assert conversion.noisy.dtype == np.float32
    assert (conversion.noisy == 7).all()


def test_opacity_keeps_its_share(tmp_path: Path) -> None:
    pixels = np.full((8, 10, 4), 250, np.uint16)
    pixels[:2, ..., :3] = 300
    pixels[..., 3] = np.arange(80).reshape(8, 10) * 257
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    conversion = Conversion.read(tmp_path / "in.tif", FileSettings(dtype="uint8"))
    result = conversion.result(conversion.noisy)
    assert (result.pixels[:2] == 255).all()
    assert (result.pixels[2:] == 250).all()
    np.testing.assert_array_equal(result.alpha, np.arange(80).reshape(8, 10))
    # The input's own is not touched.
    np.testing.assert_array_equal(conversion.image.alpha, pixels[..., 3])


def test_strip(tmp_path: Path) -> None:
    picture = PillowImage.fromarray(np.zeros((8, 10), np.uint8))
    picture.save(tmp_path / "in.png", dpi=(300, 300))
    kept = Conversion.read(tmp_path / "in.png", FileSettings())
    assert kept.image.metadata.names == ("resolution",)
    bare = Conversion.read(tmp_path / "in.png", FileSettings(strip=True))
    assert bare.image.metadata.names == ()


def test_refuses_an_unknown_type() -> None:
    with pytest.raises(ConfigError, match="dtype 'int8' is unknown; use one of same, uint8"):
        FileSettings(dtype="int8")


def test_axes(tmp_path: Path) -> None:
    conversion = read(tmp_path, np.zeros((3, 8, 10)), reading=ReadOptions(axes="CYX"))
    assert conversion.image.pixels.shape == (8, 10, 3)


# --- little would be left


RAMP = np.linspace(0, 1, 2000, dtype=np.float32).reshape(40, 50)


def deep(bits: int = 16) -> np.ndarray:
    """Make a picture that fills so many bits, black and white included."""
    pixels = np.random.default_rng(0).integers(0, 2**bits, (40, 50)).astype(np.uint16)
    pixels[0, :2] = 0, 2**bits - 1
    return pixels


def starry(background: float) -> np.ndarray:
    """Make a picture of noise around a dark background, and ten stars of values up to 255."""
    pixels = np.random.default_rng(0).normal(background, 4, (40, 50))
    pixels.flat[::200] = np.linspace(100, 255, 10)
    return pixels.astype(np.float32)


HOT = np.where(np.arange(2000).reshape(40, 50) == 777, 1e6, RAMP)

LOST = {
    "0 to 1 as uint8": (RAMP, "uint8", "2 levels; add --rescale"),
    "0 to 1 as uint16": (RAMP, "uint16", "2 levels; add --rescale"),
    "-1 to 1": (RAMP * 2 - 1, "uint8", "2 levels; add --rescale"),
    "noise beyond 0 to 1": (RAMP * 3 - 1, "uint8", "3 levels; add --rescale"),
    "all far below": (RAMP - 300, "uint8", "100% of them would be clipped; add --resc"),
    "16 bits as uint8": (deep(), "uint8", "100% of them would be clipped; add --rescale"),
    "12 bits as uint8": (deep(12), "uint8", "% of them would be clipped; add --rescale"),
    "bright sky as uint8": (starry(300), "uint8", "would be clipped"),
    "half missing": (np.where(RAMP < 0.5, np.nan, RAMP), "uint8", "1 level; add --rescale"),
}


@pytest.mark.parametrize("name", LOST)
def test_refuses_to_write_next_to_nothing(tmp_path: Path, name: str) -> None:
    """It used to be a picture all black, or all white, and exit code 0."""
    pixels, dtype, reason = LOST[name]
    with pytest.raises(ImageError, match=reason) as refusal:
        read(tmp_path, pixels, dtype=dtype)
    assert str(refusal.value).startswith(f"{tmp_path / 'in.npy'}: values from ")
    assert str(refusal.value).endswith("keep them with --dtype float32")


LEGITIMATE = {
    "dark sky": (starry(0), "uint8"),
    "dark sky, background taken off": (starry(-6), "uint8"),
    "counts": (np.random.default_rng(0).poisson(0.1, (40, 50)).astype(np.uint16), "uint8"),
    "a mask of floats": ((RAMP > 0.9).astype(np.float32), "uint8"),
    "8 bits in 16": (deep(8), "uint8"),
    "most of it in range": (deep(8) + np.uint16(100), "uint8"),
    "constant": (np.full((40, 50), 0.5), "uint8"),
    "to more bits": (deep(3).astype(np.uint8), "uint16"),
    "0 to 1, not rounded": (RAMP, "float32"),
}


@pytest.mark.parametrize("name", LEGITIMATE)
def test_what_is_dark_or_simple_passes(tmp_path: Path, name: str) -> None:
    pixels, dtype = LEGITIMATE[name]
    assert read(tmp_path, pixels, dtype=dtype).rescaling is None


# --- rescaling

SPREAD = {
    "16 to 8 bits": (deep(), "uint8", (0, 65535), False),
    "8 to 16 bits": (deep(8).astype(np.uint8), "uint16", (0, 255), False),
    "signed": (deep().astype(np.int32).astype(np.int16), "uint8", (-32768, 32767), False),
    "0 to 1": (RAMP, "uint8", (0, 1), False),
    "0 to 1 to 16 bits": (RAMP, "uint16", (0, 1), False),
    "any floats": (RAMP * 700 - 20, "uint8", None, True),
    "12 bits in 16": (deep(12) // 2, "uint8", None, True),
    "64 bits": (deep().astype(np.int64), "uint16", None, True),
}


@pytest.mark.parametrize("name", SPREAD)
def test_rescaled(tmp_path: Path, name: str) -> None:
    """The same map for the noisy values and for the result, which may lie beyond them."""
    pixels, dtype, limits, is_told = SPREAD[name]
    low, high = limits or (pixels.min(), pixels.max())
    conversion = read(tmp_path, pixels, dtype=dtype, rescale=True)
    assert conversion.noisy.dtype.kind == "f"
    np.testing.assert_array_equal(conversion.noisy, pixels)  # in the units of the input
    denoised = pixels.astype(np.float64) * 1.1
    top = np.iinfo(dtype).max
    expected = ((denoised - float(low)) / (float(high) - float(low)) * top).round().clip(0, top)
    result = conversion.result(denoised).pixels
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)
    spread = [warning for warning in conversion.warnings if "minimum to their maximum" in warning]
    assert bool(spread) == is_told
    if is_told:
        assert f"({float(low):g} to {float(high):g})" in spread[0]
    step = (float(high) - float(low)) / top
    back = conversion.in_units_of_input(conversion.result(pixels).pixels)
    np.testing.assert_allclose(back, pixels, rtol=0, atol=0.51 * step)


def test_colours_of_invisible_pixels_are_rescaled_too(tmp_path: Path) -> None:
    pixels = np.full((8, 10, 4), 257 * 100, np.uint16)
    pixels[..., 3] = 65535
    pixels[2, 3] = 257 * 200, 257 * 200, 257 * 200, 0
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    conversion = Conversion.read(tmp_path / "in.tif", FileSettings(dtype="uint8", rescale=True))
    result = conversion.result(np.full((8, 10, 3), 257 * 50.0))
    assert result.pixels[2, 3].tolist() == [200] * 3
    assert (np.delete(result.pixels.reshape(80, 3), 23, axis=0) == 50).all()
    assert (result.alpha[2, 3], result.alpha[0, 0]) == (0, 255)


def test_missing_values_do_not_count_for_the_range(tmp_path: Path) -> None:
    mask = HOT > 1
    np.save(tmp_path / "mask.npy", mask)
    with pytest.raises(ImageError, match=r"fall onto 2 levels; mask those far from the rest"):
        read(tmp_path, HOT, dtype="uint8", rescale=True)
    settings = {"dtype": "uint8", "rescale": True, "mask": tmp_path / "mask.npy"}
    assert read(tmp_path, HOT, **settings).rescaling.source == (0, 1)


def test_values_of_the_wanted_type_stay(tmp_path: Path) -> None:
    pixels = deep(12)
    conversion = read(tmp_path, pixels, dtype="uint16", rescale=True)
    np.testing.assert_array_equal(conversion.result(conversion.noisy).pixels, pixels)
    assert conversion.noisy.dtype == np.uint16


@pytest.mark.parametrize("dtype", ["same", "float32"])
def test_refuses_a_rescaling_that_does_nothing(dtype: str) -> None:
    with pytest.raises(ConfigError, match=f"nothing for --dtype {dtype}; it needs --dtype uint8"):
        FileSettings(dtype=dtype, rescale=True)


def test_refuses_to_spread_one_value(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"in\.npy: every value is 7; leave out --rescale"):
        read(tmp_path, np.full((8, 10), 7.0), dtype="uint8", rescale=True)


# --- rounding

PHOTONS = np.random.default_rng(0).poisson(2.0, (40, 50))
ROUNDED = {
    "photons": (PHOTONS.astype(np.uint16), "same", True),
    "photons in 8 bits": (PHOTONS.astype(np.uint8), "same", True),
    "photons above an offset": (PHOTONS.astype(np.int16) + 100, "same", True),
    "single photons": ((PHOTONS > 2).astype(np.uint8), "same", True),
    "floats of little contrast": (RAMP + PHOTONS, "uint8", True),
    "photons, not rounded": (PHOTONS.astype(np.uint16), "float32", False),
    "photons in floats": (PHOTONS.astype(np.float32), "same", False),
    "many photons": (np.random.default_rng(0).poisson(50, (40, 50)), "uint16", False),
    "a photograph": (deep(8).astype(np.uint8), "same", False),
    "black and white": (np.uint8(255) * (RAMP > 0.5), "same", False),
    "a white spot on black": (np.uint8(255) * (RAMP > 0.9996), "same", False),
    "a dark picture with a bright spot": (np.where(HOT > 1, 4000, 2).astype("u2"), "same", False),
    "constant": (np.full((40, 50), 7, np.uint8), "same", False),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_warns_if_rounding_costs_quality(tmp_path: Path, name: str) -> None:
    pixels, dtype, is_told = ROUNDED[name]
    warnings = read(tmp_path, pixels, dtype=dtype).warnings
    assert any("--dtype float32 keeps fractions" in warning for warning in warnings) == is_told
    assert len(warnings) == is_told


def test_photons_spread_over_more_levels_lose_nothing(tmp_path: Path) -> None:
    conversion = read(tmp_path, PHOTONS.astype(np.uint8), dtype="uint16", rescale=True)
    assert not any("fractions" in warning for warning in conversion.warnings)


# --- missing pixels


def test_nothing_is_missing(tmp_path: Path) -> None:
    assert read(tmp_path, np.zeros((8, 10, 3))).missing is None


def test_no_numbers_are_missing(tmp_path: Path) -> None:
    pixels = np.zeros((8, 10, 3), np.float32)
    pixels[2, 3, 1] = np.nan
    missing = read(tmp_path, pixels).missing
    assert np.argwhere(missing).tolist() == [[2, 3]]


def save_see_through(path: Path, alpha: np.ndarray) -> None:
    pixels = np.full((8, 10, 4), 7, np.uint8)
    pixels[..., 3] = alpha
    PillowImage.fromarray(pixels).save(path)


def test_invisible_pixels_are_missing_and_keep_their_colour(tmp_path: Path) -> None:
    alpha = np.full((8, 10), 1, np.uint8)
    alpha[2, 3] = 0
    save_see_through(tmp_path / "in.png", alpha)
    conversion = Conversion.read(tmp_path / "in.png", FileSettings())
    assert np.argwhere(conversion.missing).tolist() == [[2, 3]]
    denoised = np.full((8, 10, 3), 9, np.uint8)
    result = conversion.result(denoised)
    assert (result.pixels[2, 3] == 7).all()
    assert (result.pixels[alpha > 0] == 9).all()
    assert (denoised == 9).all()
    np.testing.assert_array_equal(result.alpha, alpha)


def test_no_opacity_anywhere_says_nothing(tmp_path: Path) -> None:
    save_see_through(tmp_path / "in.png", np.zeros((8, 10), np.uint8))
    assert Conversion.read(tmp_path / "in.png", FileSettings()).missing is None


@pytest.mark.parametrize("shape", [(8, 10), (8, 10, 3), (5, 8, 10)])
@pytest.mark.parametrize("ending", [".npy", ".png"])
def test_a_mask(tmp_path: Path, shape: tuple[int, ...], ending: str) -> None:
    mask = np.zeros((8, 10), np.uint8)
    mask[2, 3] = 1
    mask[4, 5] = 255
    if ending == ".npy":
        np.save(tmp_path / "mask.npy", mask > 0)
    else:
        PillowImage.fromarray(mask).save(tmp_path / "mask.png")
    missing = read(tmp_path, np.zeros(shape), mask=tmp_path / f"mask{ending}").missing
    expected = np.broadcast_to(mask > 0, missing.shape)
    np.testing.assert_array_equal(missing, expected)
    assert missing.shape == shape[: 2 + (shape[0] == 5)]


def test_a_mask_of_pages(tmp_path: Path) -> None:
    mask = np.zeros((5, 8, 10), bool)
    mask[1, 2, 3] = True
    np.save(tmp_path / "mask.npy", mask)
    missing = read(tmp_path, np.zeros((5, 8, 10)), mask=tmp_path / "mask.npy").missing
    np.testing.assert_array_equal(missing, mask)
    with pytest.raises(ImageError, match="the image has 1 pages of 10 x 8 pixels"):
        read(tmp_path, np.zeros((8, 10)), mask=tmp_path / "mask.npy")


def test_all_is_masked(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.ones((8, 10)))
    with pytest.raises(ImageError, match="every pixel is missing"):
        read(tmp_path, np.zeros((8, 10)), mask=tmp_path / "mask.npy")
