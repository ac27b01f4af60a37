"""How options and presets become settings, and the two commands beside denoising."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import as_dtype, psnr, wave
from PIL import Image as PillowImage
from rich.text import Text

import evodenoise
from evodenoise.cli import main
from evodenoise.config.presets import PRESETS, preset_config
from evodenoise.config.settings import DenoiseConfig
from evodenoise.denoising import denoise as pipeline
from evodenoise.errors import TrainingError

SHAPE = (12, 10)  # of noisy.png


def run(command: str) -> int:
    return main(shlex.split(command))


# --- presets and options


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Take down what the denoiser is asked for, and end the run there."""
    calls: list[dict[str, Any]] = []

    def note(image: np.ndarray, config: DenoiseConfig, **others: Any) -> None:
        calls.append({"image": image, "config": config, **others})
        raise TrainingError("noted")

    monkeypatch.setattr(pipeline, "denoise", note)
    return calls


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_fitted_to_the_image(name: str, asked: list[dict[str, Any]]) -> None:
    assert run(f"noisy.png --preset {name}") == 1
    assert asked[0]["config"] == preset_config(name, SHAPE)


@pytest.mark.usefixtures("folder")
def test_without_a_preset_it_is_the_balanced_one_and_seed_0(asked: list[dict[str, Any]]) -> None:
    assert run("noisy.png") == 1
    assert asked[0]["config"] == preset_config("balanced", SHAPE)
    assert asked[0]["rng"] == 0


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(
    ("option", "setting", "value"),
    [
        ("--epochs 7", "epochs", 7),
        ("--latents 9", "latents", 9),
        ("--hidden 5,6", "hidden", (5, 6)),
        ("--hidden 128", "hidden", (128,)),
        ("--states 3", "states", 3),
        ("--patch-size 4", "patch_size", 4),
        ("--device cpu", "device", "cpu"),
    ],
)
def test_an_option_wins_over_the_preset(
    name: str, option: str, setting: str, value: Any, asked: list[dict[str, Any]]
) -> None:
    few_states = "" if setting == "states" else "--states 3"  # few latents have few states
    assert run(f"noisy.png --preset {name} {option} {few_states}") == 1
    expected = {setting: value, "states": 3}
    config = asked[0]["config"]
    preset = preset_config(name, SHAPE)
    for field in vars(preset):
        assert getattr(config, field) == expected.get(field, getattr(preset, field))


@pytest.mark.usefixtures("folder")
def test_the_time_limit_counts_from_the_start(asked: list[dict[str, Any]]) -> None:
    """What reading the file took is gone already."""
    assert run("noisy.png --time-limit 1000") == 1
    assert 900 < asked[0]["config"].time_limit < 1000


@pytest.mark.usefixtures("folder")
def test_the_seed_is_handed_on(asked: list[dict[str, Any]]) -> None:
    assert run(f"noisy.png --seed {2**63 - 1}") == 1
    assert asked[0]["rng"] == 2**63 - 1


def test_a_time_limit_ends_a_run_that_would_take_days(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "--epochs 1000000 --latents 16 --hidden 16 --states 4 --device cpu -v"
    assert run(f"noisy.png -o out.npy --time-limit 1.5 {options}") == 0
    assert np.load(folder / "out.npy").shape == SHAPE
    assert 1 <= capsys.readouterr().err.count("free energy") < 10**6


# --- evodenoise presets


def test_presets_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("presets") == 0
    out, err = capsys.readouterr()
    assert err == ""
    header, *rows = out.splitlines()
    assert header.split()[0] == "preset"
    assert len(rows) == len(PRESETS)
    for row, (name, preset) in zip(rows, PRESETS.items(), strict=True):
        words = row.split()
        assert words[0] == name
        assert preset.description in row
        config = preset.config
        hidden = ",".join(map(str, config.hidden))
        numbers = [config.epochs, config.latents, hidden, config.states]
        names = [config.evolution.mutation.value, config.refinement.value]
        assert row.replace(" (default)", "").split()[1:7] == [*map(str, numbers), *names]
        assert ("(default)" in row) == (name == "balanced")


def test_presets_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Every setting of every preset, by name."""
    assert run("presets --json") == 0
    out, err = capsys.readouterr()
    assert err == ""
    document = json.loads(out)
    assert (document["version"], document["default"]) == (evodenoise.__version__, "balanced")
    assert list(document["presets"]) == list(PRESETS)
    for name, preset in PRESETS.items():
        found = document["presets"][name]
        assert found["description"] == preset.description
        config = dict(found["config"])
        assert config.pop("evolution") == asdict(preset.config.evolution)
        assert config.pop("learning_rate") == asdict(preset.config.learning_rate)
        assert {**vars(preset.config), **{k: _tuple(v) for k, v in config.items()}} == vars(
            preset.config
        )


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize("command", ["presets fast", "presets --epochs 3"])
def test_presets_take_no_arguments(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command) == 2
    assert capsys.readouterr().out == ""


# --- evodenoise benchmark

QUICK = "--epochs 1 --device cpu --refine none"
CLEAN = as_dtype(wave(24, 20), "uint8")


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with clean images."""
    monkeypatch.chdir(tmp_path)
    PillowImage.fromarray(CLEAN).save("clean.png")
    PillowImage.fromarray(CLEAN[::-1]).save("other.png")
    np.save("float.npy", CLEAN.astype(np.float32))
    np.save("line.npy", CLEAN[0])
    return tmp_path


@pytest.mark.usefixtures("clean")
def test_benchmark_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    command = "benchmark clean.png other.png --sigma 15,40 --preset fast,balanced --seeds 4 --json"
    assert run(f"{command} {QUICK}") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["version"] == evodenoise.__version__
    cells = document["files"]
    assert [(cell["image"], cell["sigma"], cell["preset"]) for cell in cells] == [
        (image, sigma, preset)
        for image in ("clean", "other")
        for sigma in (15.0, 40.0)
        for preset in ("fast", "balanced")
    ]
    for cell in cells:
        truth = CLEAN if cell["image"] == "clean" else CLEAN[::-1]
        noise = np.random.default_rng(4).standard_normal(truth.shape)
        expected = psnr(truth, (truth + cell["sigma"] * noise).astype(np.float32))
        assert cell["psnr_noisy"] == pytest.approx(expected, abs=1e-6)
        assert cell["wall_seconds"] > 0
        assert cell["ssim_noisy"] < 1
    mean = np.mean([cell["psnr"] for cell in cells])
    summary = document["summary"]
    assert (summary["cells"], summary["failed"]) == (8, 0)
    assert summary["psnr"] == pytest.approx(mean)


@pytest.mark.usefixtures("clean")
def test_benchmark_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"benchmark clean.png --seeds 4 --json {QUICK}") == 0
    (cell,) = json.loads(capsys.readouterr().out)["files"]
    assert run(f"benchmark clean.png --seeds 4 {QUICK}") == 0
    out, err = capsys.readouterr()
    assert err == ""
    table, _, speeds = out.partition("\n\n")
    header, row = table.splitlines()
    assert "Mpx/s" in speeds
    assert "PSNR dB" in header
    assert row.split()[:7] == [
        *("clean", "balanced", "25"),
        *(f"{cell[key]:.2f}" for key in ("psnr_noisy", "psnr")),
        f"{cell['ssim']:.4f}",
        f"{cell['noise_std']:.2f}",
    ]


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(("options", "lines"), [("-v", 3), ("", 0), ("-q -v", 0)])
def test_benchmark_may_tell_of_every_epoch(
    capsys: pytest.CaptureFixture[str], options: str, lines: int
) -> None:
    assert run(f"benchmark clean.png --epochs 3 --device cpu {options}") == 0
    assert capsys.readouterr().err.count("free energy") == lines


@pytest.mark.usefixtures("clean")
def test_benchmark_writes_no_file(clean: Path) -> None:
    before = sorted(clean.iterdir())
    assert run(f"benchmark clean.png {QUICK}") == 0
    assert sorted(clean.iterdir()) == before


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("", "Missing argument"),
        ("missing.png", "missing.png: cannot be read"),
        ("float.npy", "float.npy: float32 values"),
        ("line.npy", "line.npy: shape (20,)"),
        ("clean.png missing.png", "missing.png: cannot be read"),
        ("clean.png --sigma 0", "--sigma '0' is not a list of noise levels"),
        ("clean.png --sigma 15,-25", "--sigma '15,-25'"),
        ("clean.png --sigma 15,,25", "--sigma '15,,25'"),
        ("clean.png --sigma ''", "--sigma ''"),
        ("clean.png --sigma nan", "--sigma 'nan'"),
        ("clean.png --sigma inf", "--sigma 'inf'"),
        ("clean.png --sigma strong", "--sigma 'strong'"),
        ("clean.png --preset fast,nope", "preset 'nope' is unknown"),
        ("clean.png --preset ''", "preset '' is unknown"),
        ("clean.png --epochs 0", "epochs is 0"),
        ("clean.png --time-limit 0", "time limit is 0"),
        ("clean.png --device gpu", "device 'gpu' is unknown"),
        ("clean.png --threads 0", "--threads"),
        ("clean.png --seeds -1", "seed is -1"),
        ("clean.png --seeds 0,,1", "--seeds '0,,1' is not a list"),
    ],
)
def test_benchmark_refuses(arguments: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"benchmark {arguments}") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("evodenoise: error: ")
    assert len(err.splitlines()) == 1
    assert reason in Text.from_ansi(err).plain


@pytest.mark.usefixtures("clean")
def test_an_infinite_psnr_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    """Noise so weak that it drowns in the 24 bits of a float."""
    assert run(f"benchmark clean.png --sigma 1e-9 --json {QUICK}") == 0

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    document = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert document["files"][0]["psnr_noisy"] is None
