"""`evodenoise info`: what is read of a file."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from files import REFUSED_FILES, REFUSED_IMAGES
from kinds import JPEGS, SAME, write
from pictures import Array, add_noise, as_dtype, wave
from PIL import Image as PillowImage
from scipy.ndimage import gaussian_filter

from evodenoise.cli import main
from evodenoise.denoising import noise_level
from evodenoise.evaluation.noise_figures import LEFT, MARGIN, SHADE, WIDTH
from evodenoise.noise.record import NoiseEstimate
from evodenoise.noise.words import with_error


def run(command: str) -> int:
    return main(shlex.split(command))


def described(capsys: pytest.CaptureFixture[str], command: str) -> dict[str, Any]:
    assert run(f"info --json {command}") == 0
    out, err = capsys.readouterr()
    assert err == ""
    (found,) = json.loads(out)["files"]
    return found


def test_a_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages = np.stack([as_dtype(add_noise(wave(64, 48), 10, seed=k), "uint16") for k in range(3)])
    tifffile.imwrite(tmp_path / "in.tif", pages, imagej=True, metadata={"axes": "TYX"})
    found = described(capsys, f"{tmp_path}/in.tif")
    assert found["noise"] == [pytest.approx(10, rel=0.1)]
    assert (found["noise_kind"], found["noise_consistent"]) == ("white", True)
    expected = {
        "format": "TIFF",
        "dtype": "uint16",
        "shape": [3, 64, 48],
        "axes": "TYX",
        "pages": 3,
        "height": 64,
        "width": 48,
        "channels": 1,
        "opacity": False,
        "minimum": int(pages.min()),
        "maximum": int(pages.max()),
        "missing": 0,
        "warnings": [],
    }
    assert expected.items() <= found.items()
    assert "ImageJ metadata" in found["metadata"]


def test_axes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "in.npy", np.zeros((3, 16, 18)))
    assert described(capsys, f"{tmp_path}/in.npy")["pages"] == 3
    found = described(capsys, f"{tmp_path}/in.npy --axes cyx")
    assert (found["pages"], found["channels"], found["axes"]) == (1, 3, "CYX")


def test_noise_around_gaps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = add_noise(wave(64, 48), 10)
    pixels[5:9, 5:9] = np.nan
    np.save(tmp_path / "in.npy", pixels)
    found = described(capsys, f"{tmp_path}/in.npy")
    assert found["noise"] == [pytest.approx(10, rel=0.2)]
    assert found["missing"] == 16


def test_noise_around_hot_pixels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = add_noise(wave(64, 48), 10)
    pixels[np.random.default_rng(1).random(pixels.shape) < 0.05] = 400
    np.save(tmp_path / "in.npy", pixels)
    found = described(capsys, f"{tmp_path}/in.npy")
    assert found["noise"] == [pytest.approx(10, rel=0.2)]
    assert found["impulses"] == (pixels == 400).sum()
    assert run(f"info {tmp_path}/in.npy") == 0
    assert f"impulses {found['impulses']} (5." in " ".join(capsys.readouterr().out.split())
    np.save(tmp_path / "in.npy", add_noise(wave(64, 48), 10))
    assert described(capsys, f"{tmp_path}/in.npy")["impulses"] == 0
    assert run(f"info {tmp_path}/in.npy") == 0
    assert "impulses none found" in " ".join(capsys.readouterr().out.split())


def test_values_that_are_no_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.ones((16, 18), np.float32)
    pixels[0, :2] = np.nan
    np.save(tmp_path / "in.npy", pixels)
    found = described(capsys, f"{tmp_path}/in.npy")
    assert (found["missing"], found["minimum"], found["maximum"]) == (2, 1, 1)
    assert found["noise"] == [0]


def colour_with_gaps() -> Array:
    pixels = add_noise(wave(40, 36, channels=3), 12)
    pixels[..., 2] = pixels[..., 0]
    pixels[4:9, 5:20] = np.nan
    return pixels.astype(np.float32)


def blurred() -> Array:
    noise = np.random.default_rng(0).standard_normal((64, 64))
    return as_dtype(wave(64, 64) + 40 * gaussian_filter(noise, 1.2), "uint8")


def stack_with_an_empty_page() -> Array:
    pages = np.stack([add_noise(wave(40, 36), 5 + k, seed=k) for k in range(11)])
    pages[3] = np.nan
    return pages


def with_invisible_pixels() -> Array:
    pixels = as_dtype(add_noise(wave(40, 36, channels=4), 12), "uint8")
    pixels[..., 3] = 255
    pixels[:20, :, 3] = 0
    pixels[:20, :, :3] = 7
    return pixels


READ_ALIKE: dict[str, Callable[[], Array]] = {
    "gaps.npy": colour_with_gaps,
    "blurred.png": blurred,
    "stack.npy": stack_with_an_empty_page,
    "invisible.png": with_invisible_pixels,
    "checkerboard.png": lambda: as_dtype(np.indices((40, 36)).sum(0) // 4 % 2 * 255, "uint8"),
    "texture.png": lambda: np.tile(as_dtype(add_noise(wave(8, 8)), "uint8"), (9, 9)),
}


@pytest.mark.parametrize("name", READ_ALIKE)
def test_the_noise_is_that_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    pixels, path = READ_ALIKE[name](), tmp_path / name
    np.save(path, pixels) if path.suffix == ".npy" else PillowImage.fromarray(pixels).save(path)
    found = described(capsys, str(path))
    options = "--epochs 1 --latents 16 --hidden 16 --states 4 --device cpu --refine none"
    options += " --stack joint --quiet --json"
    assert run(f"{path} -o {tmp_path}/out{path.suffix} {options}") == 0
    (denoised,) = json.loads(capsys.readouterr().out)["files"]
    assert denoised["noise_std"] == pytest.approx(found["noise_level"], rel=1e-6)
    assert len(found["noise"]) == found["channels"]


def test_each_channel_has_its_noise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = 100 + [5, 10, 5, 0] * np.random.default_rng(0).standard_normal((64, 64, 4))
    pixels[..., 2] = pixels[..., 0]
    np.save(tmp_path / "in.npy", pixels)
    found = described(capsys, f"{tmp_path}/in.npy --axes yxc")
    first, second, third, fourth = found["noise"]
    assert (first, second) == pytest.approx((5, 10), rel=0.05)
    assert (third, fourth) == (first, 0)
    assert found["noise_level"] == pytest.approx(np.sqrt((25 + 100) / 2), rel=0.05)
    assert run(f"info {tmp_path}/in.npy --axes yxc") == 0
    assert f"channels {first:.4g}, {second:.4g}, {first:.4g}, 0" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["tif OME", "png with texts", "webp with metadata", "fits stack"])
def test_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    path = write(name, SAME[name], tmp_path)
    assert run(f"info {path}") == 0
    out, err = capsys.readouterr()
    assert err == ""
    names = [line.split()[0] for line in out.splitlines() if not line.startswith(" ")]
    of_the_noise = ["noise", "level", "impulses"]
    expected = ["file", "format", "size", "array", "channels", "values", *of_the_noise, "metadata"]
    assert names == expected


def test_what_is_wrong_with_a_jpeg(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("jpg RGB", JPEGS["jpg RGB"], tmp_path)
    assert run(f"info {path}") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "warning JPEG noise is correlated" in out
    assert "metadata EXIF, XMP, ICC profile, comment, resolution" in out


@pytest.mark.parametrize("name", ["text.png", "headless.tif", "sizes.tif", "folder.png"])
def test_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    REFUSED_FILES[name][0](tmp_path / name)
    assert run(f"info {tmp_path}/{name}") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"evodenoise: error: {tmp_path}/{name}: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", sorted(REFUSED_IMAGES.keys() - {"nan_page.npy"}))
def test_refuses_what_denoising_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    REFUSED_IMAGES[name][0](tmp_path / name)
    assert run(f"{tmp_path}/{name} -o {tmp_path}/out.npy") == 2
    refusal = capsys.readouterr().err
    assert REFUSED_IMAGES[name][1] in refusal
    assert run(f"info {tmp_path}/{name}") == 2
    assert capsys.readouterr().err == refusal


# --- the noise


def photons() -> Array:
    rng = np.random.default_rng(0)
    clean = np.clip(wave(160, 160), 5, None)
    return as_dtype(5 * rng.poisson(clean / 5) + rng.normal(0, 4, clean.shape), "uint8")


def test_photon_noise_is_told_in_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    PillowImage.fromarray(photons()).save(tmp_path / "in.png")
    found = described(capsys, f"{tmp_path}/in.png")
    assert found["noise_kind"] == "photon"
    assert found["gain"] == [pytest.approx(5, rel=0.25)]
    assert len(found["readout"]) == len(found["offset"]) == len(found["noise_curves"]) == 1
    assert found["noise_spectrum"] is None
    assert run(f"info {tmp_path}/in.png") == 0
    out = " ".join(capsys.readouterr().out.split())
    gain, readout = (found[name][0] for name in ("gain_uncertainty", "readout_uncertainty"))
    assert 0 < gain < found["gain"][0]
    assert 0 < readout < 20
    assert f"noise photon noise: gain {with_error(found['gain'][0], gain)}, read-out " in out
    level = with_error(found["noise_level"], found["noise_level_uncertainty"])
    assert f"level standard deviation {level}, estimated impulses none found" in out
    assert " ± " in level


def test_coloured_noise_is_told_by_where_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    noise = 40 * gaussian_filter(rng.standard_normal((160, 160)), 1.0)
    np.save(tmp_path / "in.npy", 128 + noise + rng.normal(0, 1, (160, 160)))
    found = described(capsys, f"{tmp_path}/in.npy")
    assert found["noise_kind"] == "coloured"
    assert found["gain"] is found["readout"] is found["offset"] is None
    assert found["gain_uncertainty"] is found["readout_uncertainty"] is None
    assert 0 < found["noise_spectrum_uncertainty"][0] < 1
    (waves,) = np.array(found["noise_spectrum"])
    assert waves.shape == (8, 8)
    assert np.square(waves).mean() == pytest.approx(1, rel=0.05)
    assert waves[1, 1] > 3 * waves[6, 6]
    assert run(f"info {tmp_path}/in.npy") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "noise coloured: " in out
    assert "times stronger in coarse than in fine detail" in out


def test_how_well_the_level_is_known_is_told_of_each_channel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "in.npy", add_noise(wave(72, 72, channels=3), 12))
    found = described(capsys, f"{tmp_path}/in.npy")
    errors = found["noise_uncertainty"]
    assert found["noise_source"] == "estimated"
    assert len(errors) == len(found["noise"]) == 3
    assert min(errors) <= found["noise_level_uncertainty"] <= max(errors)
    np.save(tmp_path / "in.npy", add_noise(wave(40, 36), 12))
    found = described(capsys, f"{tmp_path}/in.npy")
    assert found["noise_uncertainty"] is found["noise_level_uncertainty"] is None
    assert run(f"info {tmp_path}/in.npy") == 0
    assert "±" not in capsys.readouterr().out


def test_doubt_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = ((1.0,),)
    doubtful = NoiseEstimate(3.0, (3.0,), identity, 3.0, 7.0, consistent=False)
    monkeypatch.setattr(noise_level, "read_blindly", lambda *_: doubtful)
    np.save(tmp_path / "in.npy", wave(16, 16))
    assert not described(capsys, f"{tmp_path}/in.npy")["noise_consistent"]
    assert run(f"info {tmp_path}/in.npy") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "noise unclear: it may be correlated or not Gaussian (level 3 in fine, 7 in" in out


def test_impulses_have_a_share_and_do_not_stretch_the_axis_of_brightness(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = photons().astype(np.uint16)
    pixels[::20, ::20] = 60_000
    np.save(tmp_path / "in.npy", pixels)
    found = described(capsys, f"{tmp_path}/in.npy --figure {tmp_path}/figure.npy")
    assert found["impulse_share"] == pytest.approx(1 / 400)
    assert found["maximum"] == 60_000
    shaded = (np.load(tmp_path / "figure.npy") == SHADE).all(-1).any(0)
    assert shaded.sum() > 0.9 * (WIDTH - LEFT - MARGIN)


def test_the_table_is_legible_on_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines are broken between words, and go on below where the text began."""
    PillowImage.fromarray(photons()).save(tmp_path / "in.png")
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "80", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert run("info in.png") == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
