"""The command: results on stdout, the rest on stderr, refusals in one line before any work."""

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import typer.main
from files import COLOUR, GRAY, GRAY16, REFUSED_FILES, REFUSED_IMAGES, full_disk, snapshot
from pictures import add_noise, as_dtype, psnr, wave
from PIL import Image as PillowImage
from rich.text import Text

import evodenoise
from evodenoise.cli import main
from evodenoise.cli.commands import COMMANDS, DENOISE
from evodenoise.cli.options import COMMON, OF_DENOISING
from evodenoise.denoising import denoise as pipeline
from evodenoise.errors import TrainingError

QUICK = "--epochs 1 --latents 16 --hidden 16 --states 4 --device cpu --refine none"
GOOD = "--epochs 20 --latents 32 --hidden 32 --states 8 --seed 1 --device cpu"
COMMAND = Path(sysconfig.get_path("scripts"), "evodenoise")
QUALITY = re.compile(r"^(\w+) +PSNR +(\S+) dB +SSIM +(\S+)$", re.MULTILINE)
not_as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read and write everything"
)


def run(command: str) -> int:
    return main(shlex.split(command))


def the_error(capsys: pytest.CaptureFixture[str]) -> str:
    """Check that there is one line on stderr and none on stdout, and return what it says."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("evodenoise: error: ")
    assert err.endswith("\n")
    assert len(err.splitlines()) == 1
    return err.removeprefix("evodenoise: error: ")


def images_in(folder: Path) -> set[str]:
    return set(snapshot(folder))


# --- what it does


def test_denoises_a_png(tmp_path: Path) -> None:
    """The command as installed: PSNR rises by 5 dB, and only the figures are on stdout."""
    clean = as_dtype(wave(28, 28), "uint8")
    noisy = as_dtype(add_noise(clean), "uint8")
    PillowImage.fromarray(clean).save(tmp_path / "gt.png")
    PillowImage.fromarray(noisy).save(tmp_path / "noisy.png")
    command = [COMMAND, "noisy.png", "-o", "clean.png", "--reference", "gt.png", *GOOD.split()]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    with PillowImage.open(tmp_path / "clean.png") as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        result = np.asarray(picture)
    before, after = psnr(clean, noisy), psnr(clean, result)
    assert after > before + 5
    first, *figures = done.stdout.splitlines()
    assert first == "data range 255"
    assert [QUALITY.fullmatch(line)[1] for line in figures] == ["noisy", "denoised"]
    assert [float(QUALITY.fullmatch(line)[2]) for line in figures] == pytest.approx(
        [before, after], abs=0.006
    )
    noisy_ssim, denoised_ssim = (float(QUALITY.fullmatch(line)[3]) for line in figures)
    assert noisy_ssim < denoised_ssim <= 1
    assert "clean.png" in done.stderr
    assert "\x1b" not in done.stderr  # no bar when it is not a terminal


def test_default_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = images_in(folder)
    assert run(f"noisy.png {QUICK}") == 0
    assert images_in(folder) - before == {"noisy_denoised.png"}
    out, err = capsys.readouterr()
    assert out == ""
    assert "noisy_denoised.png" in err


@pytest.mark.parametrize("output", ["cleaned", "cleaned/", "./cleaned"])
def test_into_a_folder(folder: Path, output: str) -> None:
    before = images_in(folder)
    assert run(f"noisy.png -o {output} {QUICK}") == 0
    assert images_in(folder) - before == {"cleaned/noisy.png"}


def test_input_elsewhere_and_names_with_spaces(folder: Path) -> None:
    shutil.copy("noisy.png", "cleaned/a [bold]name.png")
    before = images_in(folder)
    assert run(f"'cleaned/a [bold]name.png' {QUICK}") == 0
    assert images_in(folder) - before == {"cleaned/a [bold]name_denoised.png"}


@pytest.mark.parametrize(
    ("pixels", "ending"),
    [
        (GRAY, ".png"),
        (COLOUR, ".png"),
        (GRAY16, ".png"),
        (COLOUR, ".jpg"),
        (GRAY, ".tif"),
        (GRAY16, ".tiff"),
        (GRAY.astype(np.float32) * 1e6, ".tif"),
        (GRAY.astype(np.float64) * 1e-6, ".npy"),
        (COLOUR.astype(np.float32), ".npy"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.dtype}-{value.ndim}d",
)
def test_the_kind_of_image_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray, ending: str
) -> None:
    monkeypatch.chdir(tmp_path)

    def load(name: str) -> np.ndarray:
        if ending == ".npy":
            return np.load(name)
        return tifffile.imread(name) if ending[:4] == ".tif" else np.asarray(PillowImage.open(name))

    if ending == ".npy":
        np.save("in.npy", pixels)
    elif ending[:4] == ".tif":
        tifffile.imwrite(f"in{ending}", pixels)
    else:
        PillowImage.fromarray(pixels).save(f"in{ending}")
    assert run(f"in{ending} {QUICK}") == 0
    result = load(f"in_denoised{ending}")
    assert (result.dtype, result.shape) == (pixels.dtype, pixels.shape)
    assert (result != load(f"in{ending}")).any()
    # Neither clipped nor rescaled: the mean stays within a tenth of the contrast.
    assert abs(result.mean() - pixels.mean()) < 0.1 * np.ptp(pixels.astype(float))


def test_same_seed_same_bytes_other_seed_other_result(folder: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        assert run(f"noisy.png -o {name}.npy --seed {seed} {QUICK}") == 0
    contents = snapshot(folder)
    assert contents["a.npy"] == contents["b.npy"]
    assert contents["a.npy"] != contents["c.npy"]


def test_overwrite_replaces(folder: Path) -> None:
    assert run(f"noisy.png -o fresh.png {QUICK}") == 0
    before = snapshot(folder)
    assert run(f"noisy.png -o existing.png --overwrite {QUICK}") == 0
    after = snapshot(folder)
    assert after["existing.png"] == after["fresh.png"] != before["existing.png"]
    assert {**after, "existing.png": b""} == {**before, "existing.png": b""}


@pytest.mark.parametrize(("option", "expected"), [("", "255"), ("--data-range 100", "100")])
def test_data_range(
    folder: Path, capsys: pytest.CaptureFixture[str], option: str, expected: str
) -> None:
    assert run(f"noisy.png -o {folder}/out.png --reference existing.png {option} {QUICK}") == 0
    out = capsys.readouterr().out
    assert f"data range {expected}\n" in out
    assert QUALITY.findall(out)[0] == ("noisy", "inf", "1.0000")


def test_a_float_reference_of_an_integer_image(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the mean of many frames is; the peak is that of the image's type."""
    assert run(f"noisy.png -o {folder}/out.png --reference float.npy {QUICK}") == 0
    out = capsys.readouterr().out
    assert out.startswith("data range 255\n")
    assert QUALITY.findall(out)[0] == ("noisy", "inf", "1.0000")


def test_quiet_is_silent_but_for_the_result(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"noisy.png -o {folder}/out.png -q --reference existing.png {QUICK}") == 0
    out, err = capsys.readouterr()
    assert len(QUALITY.findall(out)) == 2
    assert err == ""


@pytest.mark.parametrize(("options", "lines"), [("-v", 3), ("", 0), ("-q -v", 0)])
def test_verbose_tells_of_every_epoch(
    folder: Path, capsys: pytest.CaptureFixture[str], options: str, lines: int
) -> None:
    quick = QUICK.replace("--epochs 1", "--epochs 3")
    assert run(f"noisy.png -o {folder}/out.png {quick} {options}") == 0
    assert (
        len(re.findall(r"^epoch +\d  free energy ", capsys.readouterr().err, re.MULTILINE)) == lines
    )


def test_threads(folder: Path) -> None:
    threads = torch.get_num_threads()
    try:
        assert run(f"noisy.png -o {folder}/out.png --threads 2 {QUICK}") == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


# --- what it refuses

USAGE = [
    ("noisy.png --no-such-option", "No such option"),
    ("noisy.png --sead 3", "No such option"),
    ("--epochs 3", "Missing argument"),
    ("noisy.png --output", "requires an argument"),
]
SETTINGS = [
    ("noisy.png --hidden a", "--hidden 'a' is not a list of widths"),
    ("noisy.png --hidden ''", "--hidden '' is not a list of widths"),
    ("noisy.png --hidden 64,,64", "is not a list of widths"),
    ("noisy.png --hidden 64,0", "width of a hidden layer is 0"),
    ("noisy.png --hidden=-5", "width of a hidden layer is -5"),
    ("noisy.png --latents many", "--latents"),
    ("noisy.png --latents 2.5", "--latents"),
    ("noisy.png --latents 0", "latents is 0"),
    ("noisy.png --latents 2", "2 latents have only 4"),
    ("noisy.png --latents 40000", "latents is 40000"),
    ("noisy.png --states 0", "states is 0"),
    ("noisy.png --states 9 --latents 3", "3 latents have only 8"),
    ("noisy.png --epochs 0", "epochs is 0"),
    ("noisy.png --epochs -3", "epochs is -3"),
    ("noisy.png --epochs 1e3", "--epochs"),
    ("noisy.png --threads 0", "--threads"),
    ("noisy.png --seed x", "--seed"),
    ("noisy.png --seed -1", "seed is -1"),
    (f"noisy.png --seed {2**64}", f"seed is {2**64}"),
    ("noisy.png --preset nope", "preset 'nope' is unknown; use one of fast, balanced"),
    ("noisy.png --time-limit 0", "time limit is 0"),
    ("noisy.png --time-limit -5", "time limit is -5"),
    ("noisy.png --time-limit inf", "time limit is inf"),
    ("noisy.png --time-limit soon", "--time-limit"),
    ("noisy.png --patch-size 3", "patch size is 3"),
    ("noisy.png --patch-size 0", "patch size is 0"),
    ("noisy.png --patch-size 11", "patch size 11 does not fit into 10 x 12 pixels"),
    ("noisy.png --device cuda:99", "device 'cuda:99' is not there"),
    ("noisy.png --device cuda:256", "device 'cuda:256' is not there"),
    ("noisy.png --device gpu", "device 'gpu' is unknown"),
]
BAD_FILES = [*REFUSED_FILES, *REFUSED_IMAGES]
INPUTS = [
    ("missing.png", "missing.png: cannot be read: No such file"),
    ("missing/noisy.png", "missing/noisy.png: cannot be read"),
    ("''", "is a folder"),
    ("cleaned", "cleaned: no images found"),
]
OUTPUTS = [
    ("noisy.png -o missing/out.png", "missing: no such folder"),
    ("noisy.png -o existing.png", "existing.png: exists already"),
    ("done.png", "done_denoised.png: exists already"),
    ("noisy.png -o noisy.png", "is the input itself"),
    ("noisy.png -o noisy.png --overwrite", "is the input itself"),
    ("noisy.png -o link.png", "is the input itself"),
    ("noisy.png -o link.png --overwrite", "is the input itself"),
    ("link.png -o noisy.png --overwrite", "is the input itself"),
    ("noisy.png -o .", "is the input itself"),
    ("noisy.png -o ./cleaned/../noisy.png --overwrite", "is the input itself"),
    ("noisy.png -o out.gif", "unknown ending"),
    (f"noisy.png -o {'x' * 300}.png", "too long"),
    ("no_ending", "unknown ending"),
    ("float.npy -o out.png", "PNG cannot hold float32 values"),
    ("float.npy -o out.jpg", "JPEG cannot hold float32 values"),
    ("deeper.png -o out.jpg", "JPEG cannot hold uint16 values"),
    ("long.npy", "int64"),
]
REFERENCES = [
    ("noisy.png --reference missing.png", "missing.png: cannot be read: No such file"),
    ("noisy.png --reference text.png", "text.png: is not a PNG"),
    ("noisy.png --reference smaller.png", "smaller.png: shape (11, 10)"),
    ("noisy.png --reference colour.png", "colour.png: shape (12, 10, 3)"),
    ("float.npy --reference flat.npy", "flat.npy: data range 0"),
    ("float.npy --reference holes.npy", "holes.npy: "),
    ("float.npy --reference holes.npy --data-range 255", "holes.npy: "),
    ("noisy.png --data-range 255", "--data-range says how to measure; it needs --reference"),
    ("noisy.png --data-range 0", "data-range"),
    ("noisy.png --reference existing.png --data-range 0", "data range 0"),
    ("noisy.png --reference existing.png --data-range -255", "data range -255"),
    ("noisy.png --reference existing.png --data-range nan", "data range nan"),
    ("noisy.png --reference existing.png --data-range wide", "--data-range"),
]


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "denoise", lambda *_, **__: pytest.fail("training has begun"))


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("command", "reason"), [*USAGE, *SETTINGS, *INPUTS, *OUTPUTS, *REFERENCES])
def test_refuses_before_any_work(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, reason: str
) -> None:
    before = snapshot(folder)
    assert run(command) == 2
    assert reason in the_error(capsys)
    assert snapshot(folder) == before


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("output", ["", "-o out.npy"])
@pytest.mark.parametrize("name", BAD_FILES)
def test_names_what_is_wrong_with_a_file(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, output: str
) -> None:
    """Whatever else there is to say, for example to the output, comes later."""
    before = snapshot(folder)
    assert run(f"{name} {output}") == 2
    reason = {**REFUSED_FILES, **REFUSED_IMAGES, "folder.png": (None, "no images found")}[name][1]
    assert reason in the_error(capsys)
    assert snapshot(folder) == before


@not_as_root
@pytest.mark.usefixtures("no_training")
def test_refuses_a_file_that_may_not_be_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "noisy.png").chmod(0)
    assert run("noisy.png") == 2
    assert re.search("noisy.png.* (not readable|Permission denied)", the_error(capsys))


@not_as_root
@pytest.mark.usefixtures("no_training")
def test_refuses_a_folder_that_may_not_be_written_to(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "cleaned").chmod(0o500)
    assert run("noisy.png -o cleaned/out.png") == 2
    assert "Permission denied" in the_error(capsys)


@pytest.mark.parametrize(
    "command",
    ["headless.tif", "noisy.png --what"],
)
def test_the_installed_command_refuses_likewise(folder: Path, command: str) -> None:
    before = snapshot(folder)
    done = subprocess.run(
        [COMMAND, *shlex.split(command)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("evodenoise: error: ")
    assert done.stderr.count("\n") == 1
    assert snapshot(folder) == before


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("flag", ["-v", "--verbose", "-qv", "-q -v"])
def test_verbose_shows_where_a_refusal_came_from(
    folder: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    assert run(f"{folder}/text.png {flag}") == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert "is not a PNG" in err.splitlines()[-1]


# --- what goes wrong later


@pytest.mark.parametrize("flag", ["", "-v"])
@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (RuntimeError("out of\n  luck"), "RuntimeError: out of luck"),
        (TrainingError("training diverged in epoch 3"), "training diverged in epoch 3"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_failure_in_training_is_one_line(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    reason: str,
    flag: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(pipeline, "denoise", fail)
    before = snapshot(folder)
    assert run(f"noisy.png --device cpu {flag}") == 1
    assert snapshot(folder) == before
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith(f"evodenoise: error: {reason}")
    if flag:
        assert err.count("Traceback") == 1
    else:
        assert len(err.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are a thing of Unix")
@pytest.mark.parametrize("output", ["out.png", "out.tif", "out.jpg", "existing.png --overwrite"])
def test_a_full_disk(folder: Path, capsys: pytest.CaptureFixture[str], output: str) -> None:
    before = snapshot(folder)
    with full_disk():
        assert run(f"noisy.png -q -o {output} {QUICK}") == 1
    assert "cannot be written" in the_error(capsys)
    assert snapshot(folder) == before


@pytest.mark.parametrize("flag", ["", "-v", "-q"])
def test_an_interruption(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "denoise", interrupt)
    before = snapshot(folder)
    assert run(f"noisy.png --device cpu {flag}") == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == "evodenoise: error: interrupted; nothing was written"
    assert snapshot(folder) == before


# --- what it says about itself


SAY_EACH = """
import json, sys
from evodenoise.cli import main

for words in json.loads(sys.argv[1]):
    code = main(words)
    print(end="\\0", flush=True)
    print(f"code {code}, torch: {'torch' in sys.modules}", file=sys.stderr)
"""


def say_each(commands: list[list[str]], **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run commands in one new process; a NUL stands behind what each says."""
    return subprocess.run(
        [sys.executable, "-c", SAY_EACH, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, **variables},
    )


def test_help_comes_without_torch() -> None:
    shown = {
        "--help": "evodenoise noisy.png -o clean.png",
        "-h": "evodenoise noisy.png -o clean.png",
        "": "evodenoise noisy.png -o clean.png",
        "--version": "evodenoise",
        "presets": "balanced",
        "presets --help": "Usage",
        "benchmark --help": "Usage",
    }
    done = say_each([words.split() for words in shown])
    assert done.stderr == len(shown) * "code 0, torch: False\n"
    *texts, rest = done.stdout.split("\0")
    assert rest == ""
    for text, expected in zip(texts, shown.values(), strict=True):
        assert expected in text


ALL_COMMANDS = {"": DENOISE, **COMMANDS}
PARAMETERS = [
    pytest.param(name, parameter, id=f"{name or 'denoise'}-{parameter.name}")
    for name, command in ALL_COMMANDS.items()
    for parameter in typer.main.get_command(command.app()).params
]


@pytest.fixture(scope="module")
def help_texts() -> dict[str, str]:
    """Ask for the help on a terminal so wide that no line is broken."""
    commands = [[*name.split(), "--help" if name else "--help-all"] for name in ALL_COMMANDS]
    *texts, _ = say_each(commands, COLUMNS="400", TERMINAL_WIDTH="400").stdout.split("\0")
    spaced = [" ".join(text.split()) for text in texts]
    return dict(zip(ALL_COMMANDS, spaced, strict=True))


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_every_option_has_a_help_text_and_stands_in_the_help(
    help_texts: dict[str, str], name: str, parameter: Any
) -> None:
    assert parameter.help
    shown = Text.from_markup(parameter.help).plain
    assert " ".join(shown.split()) in help_texts[name]
    is_option = parameter.param_type_name == "option"
    for each in parameter.opts if is_option else [parameter.metavar]:
        assert f" {each} " in help_texts[name]


@pytest.fixture(scope="module")
def narrow_help() -> Callable[[int], dict[str, str]]:
    """Ask for the help, short and long, on a screen that has so many columns."""

    @cache
    def ask(columns: int) -> dict[str, str]:
        done = say_each([["--help"], ["--help-all"]], COLUMNS=str(columns))
        short, long, _ = done.stdout.split("\0")
        return {"--help": short, "--help-all": long}

    return ask


@pytest.mark.parametrize("word", ["--help", "--help-all"])
@pytest.mark.parametrize("columns", [30, 40, 59])
def test_the_help_can_be_read_on_a_narrow_screen(
    columns: int, word: str, narrow_help: Callable[[int], dict[str, str]]
) -> None:
    """Each option on a line of its own, and its text below, as wide as the screen."""
    lines = [line.rstrip() for line in narrow_help(columns)[word].splitlines()]
    assert max(map(len, lines)) <= columns
    shown = COMMON if word == "--help" else OF_DENOISING
    heads = [line for line in lines if line.startswith("  ") and line[2:3] not in ("", " ")]
    assert len(heads) == len(shown) + 2 * (word == "--help-all")
    for name in shown:
        option = OF_DENOISING[name]
        head = f"  {', '.join(option.names.split())} {option.metavar}".rstrip()
        place = lines.index(head if option.names else f"  {option.metavar}")
        below = itertools.takewhile(lambda line: line.startswith(6 * " "), lines[place + 1 :])
        assert " ".join(" ".join(below).split()).startswith(option.help)


@pytest.mark.parametrize("name", ALL_COMMANDS)
def test_the_help_says_how_it_is_called(help_texts: dict[str, str], name: str) -> None:
    assert f"Usage: evodenoise {name}".strip() in help_texts[name]


def test_the_help_names_the_other_commands(help_texts: dict[str, str]) -> None:
    for name in COMMANDS:
        assert f"evodenoise {name}" in help_texts[""]


def test_without_arguments_it_prints_its_help() -> None:
    done = subprocess.run([COMMAND], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: evodenoise" in done.stdout
    assert "evodenoise noisy.png -o clean.png" in done.stdout


@pytest.mark.parametrize("command", [[COMMAND], [sys.executable, "-m", "evodenoise"]])
def test_version(command: list[str | Path]) -> None:
    done = subprocess.run(
        [*command, "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"evodenoise {evodenoise.__version__}\n"
    assert done.stderr == ""
