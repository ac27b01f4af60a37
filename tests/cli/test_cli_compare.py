"""`evodenoise compare`: scikit-image's own figures, nothing normalised."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pictures import add_noise, as_dtype, wave
from PIL import Image as PillowImage
from skimage import metrics

from evodenoise.cli import main


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clean = wave(30, 26, channels=3)
    for name, std in (("gt", 0.0), ("weak", 5.0), ("strong", 40.0)):
        pixels = add_noise(clean, std)
        PillowImage.fromarray(as_dtype(pixels, "uint8")).save(f"{name}.png")
        np.save(f"{name}.npy", pixels.astype(np.float32))
        tifffile.imwrite(f"{name}.tif", as_dtype(pixels[..., 0] * 200, "uint16"))


def run(command: str) -> int:
    return main(shlex.split(command))


@pytest.mark.parametrize("ending", ["png", "npy", "tif"])
def test_figures_are_those_of_scikit_image(ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"compare gt.{ending} weak.{ending} strong.{ending} --json") == 0
    document = json.loads(capsys.readouterr().out)

    def load(name: str) -> np.ndarray:
        path = f"{name}.{ending}"
        if ending == "npy":
            return np.load(path)
        return tifffile.imread(path) if ending == "tif" else np.asarray(PillowImage.open(path))

    clean = load("gt")
    span = {"png": 255.0, "tif": 65535.0, "npy": float(clean.max()) - float(clean.min())}[ending]
    for row, name in zip(document["files"], ("weak", "strong"), strict=True):
        image = load(name)
        pair = clean.astype(float), image.astype(float)
        assert row["data_range"] == pytest.approx(span)
        expected = {
            "psnr": metrics.peak_signal_noise_ratio(*pair, data_range=span),
            "ssim": metrics.structural_similarity(
                *pair, data_range=span, channel_axis=2 if clean.ndim == 3 else None
            ),
            "rmse": metrics.mean_squared_error(*pair) ** 0.5,
        }
        assert {key: row[key] for key in expected} == pytest.approx(expected, abs=1e-9)
    means = [row["psnr"] for row in document["files"]]
    assert document["summary"]["psnr"] == pytest.approx(sum(means) / 2)


def test_a_table_with_its_data_range(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare gt.png gt.png strong.png --data-range 100") == 0
    first, header, same, other, mean = capsys.readouterr().out.splitlines()
    assert first == "data range 100"
    assert header.split() == ["image", "PSNR", "dB", "SSIM", "RMSE"]
    assert same.split() == ["gt.png", "inf", "1.0000", "0"]
    assert other.split()[0] == "strong.png"
    assert mean.split()[0] == "mean"


def test_a_float_reference_for_an_integer_image(capsys: pytest.CaptureFixture[str]) -> None:
    """The mean of many frames is no integer; the peak is that of the image's type."""
    assert run("compare gt.npy weak.png weak.npy --json") == 0
    clean = np.load("gt.npy").astype(float)
    for row, span in zip(
        json.loads(capsys.readouterr().out)["files"], (255.0, float(np.ptp(clean))), strict=True
    ):
        name = row["input"]
        image = np.load(name) if name[-3:] == "npy" else np.asarray(PillowImage.open(name))
        error = np.mean((clean - image) ** 2)
        assert row["data_range"] == pytest.approx(span)
        assert row["psnr"] == pytest.approx(10 * np.log10(span**2 / error))
        assert row["rmse"] == pytest.approx(error**0.5)


def test_several_data_ranges_stand_beside_their_images(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("compare gt.npy weak.png gt.npy") == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[-2:] == ["data", "range"]
    span = float(np.ptp(np.load("gt.npy").astype(float)))
    assert [line.split()[-1] for line in lines[:2]] == ["255", f"{span:g}"]
    assert len(lines[2].split()) == 4  # the mean has none


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("gt.png", "Missing argument"),
        ("gt.png gt.tif", "shape"),
        ("gt.png nope.png", "nope.png: cannot be read"),
        ("gt.png weak.png --data-range 0", "data range 0"),
        ("gt.npy holes.npy", "holes.npy: some values are NaN"),
    ],
)
def test_refusals(arguments: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    holes = np.load("gt.npy")
    holes[0] = np.nan
    np.save("holes.npy", holes)
    assert run(f"compare {arguments}") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert reason in err
