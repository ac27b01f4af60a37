"""README and documentation: what they show runs, and what they say of commands is so."""

import doctest
import importlib
import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from messages import is_said, texts_of, texts_of_all
from pictures import add_noise, as_dtype, wave
from PIL import Image

import evodenoise
from evodenoise.cli import main

tifffile = pytest.importorskip("tifffile")

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]*))?\)")
MESSAGE = re.compile(r"`([^`]+)`")
QUICK = ["--epochs", "1", "--refine", "none"]


def list_commands() -> Iterator[object]:
    """List the commands of our own in the pages; those that need other machines are left out."""
    seen = set()
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("evodenoise ") and line not in seen:
                    seen.add(line)
                    yield pytest.param(line, id=f"{page.stem}: {line}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the files that the pages speak of, small ones."""
    home = tmp_path_factory.mktemp("docs")
    gray = as_dtype(add_noise(wave(24, 20), 20), "uint8")
    colour = as_dtype(add_noise(wave(24, 20, channels=3), 20), "uint8")
    for name in ("noisy.png", "gt.png", "clean.png", "first.tif", "second.tif", "large.tif"):
        Image.fromarray(gray).save(home / name)
    for name in ("photo.jpg", "scan.tif"):
        Image.fromarray(colour).save(home / name)
    mask = np.zeros((24, 20), np.uint8)
    mask[4:7, 8:12] = 255
    Image.fromarray(mask).save(home / "scratches.png")
    frame = gray.astype(np.uint16) * 16
    for name in ("cells.tif", "dark.tif", "calibration.tif"):
        tifffile.imwrite(home / name, frame)
    tifffile.imwrite(home / "series.tif", np.stack([frame] * 2), imagej=True)
    for name in ("shots", "scans", "night", "raw"):
        (home / name).mkdir()
        for number in range(2):
            Image.fromarray(gray).save(home / name / f"{number}.tif")
    fits = pytest.importorskip("astropy.io.fits")
    fits.writeto(home / "m51.fits", frame)
    fits.writeto(home / "bad.fits", mask)
    assert main(["info", str(home / "dark.tif"), "--save-noise", str(home / "camera.noise")]) == 0
    return home


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("line", [*list_commands()])
def test_every_command_that_is_shown_runs(
    line: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "--scheduler" in line:
        pytest.skip("needs a cluster; tests/jobs/test_cluster.py has one")
    monkeypatch.chdir(folder)
    words = shlex.split(line)[1:]
    if words[0] not in ("info", "compare", "presets", "benchmark", "--help-all"):
        kept = "--load-model" in words
        words += ["--overwrite"] * ("--skip-existing" not in words) + ["--threads", "1"]
        # One worker for a folder: each has torch to load.
        words += ["--jobs", "1"] * ("--jobs" not in words and "-j" not in words)
        words += [] if kept or "--epochs" in words else QUICK
    elif "--save-noise" in words:
        words.append("--overwrite")
    assert main(words) == 0


def test_the_python_that_is_shown_runs() -> None:
    page = (ROOT / "docs/tutorials/python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    names: dict[str, object] = {}
    exec("\n".join(blocks).replace("48", "20"), names)  # a smaller picture
    assert np.asarray(names["clean"]).shape == (20, 20)
    assert np.isfinite(np.asarray(names["clean"])).all()


def load_script(name: str) -> Any:
    """Import a script of the documentation."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as dataclasses need it
    spec.loader.exec_module(module)
    return module


def test_the_page_of_commands_is_up_to_date() -> None:
    """`python docs/make_commands.py` brings it up to date."""
    module = load_script("make_commands")
    assert module.PAGE.read_text(encoding="utf-8") == module.make_page()


@pytest.fixture
def gallery(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "docs")
    return load_script("make_gallery")


def test_the_gallery_is_what_its_script_makes(gallery: Any) -> None:
    """But for the figures, which `python docs/make_gallery.py` measures in some minutes."""
    page = gallery.PAGE.read_text(encoding="utf-8")
    outcomes = gallery.outcomes_of(page)
    assert set(outcomes) == set(gallery.ENTRIES)
    assert gallery.make_page(outcomes) == page
    for printed, within in outcomes.values():
        noisy, denoised = map(float, re.findall(r"PSNR +(\d+\.\d+) dB", printed))
        assert denoised > noisy
        assert 0 < within < 100


def test_the_gallery_is_small(gallery: Any) -> None:
    pictures = {path.stem: path.stat().st_size for path in gallery.PICTURES.iterdir()}
    assert set(pictures) == set(gallery.ENTRIES)
    assert sum(pictures.values()) < 1.5e6


def test_a_picture_of_the_gallery_is_denoised_by_the_command_that_is_shown(
    gallery: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "cells"
    gallery.write_noisy(name, tmp_path)
    for path in tmp_path.iterdir():
        with Image.open(path) as picture:
            part = picture.crop((60, 40, 84, 60))
        part.save(path)
    monkeypatch.chdir(tmp_path)
    program, *words = gallery.command_of(name).split()
    assert program == "evodenoise"
    assert main([*words, *QUICK]) == 0
    assert len(list(tmp_path.iterdir())) == 5


@pytest.fixture(scope="module")
def explained() -> list[str]:
    """List the messages that the page of problems explains."""
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    return [text for row in rows for text in MESSAGE.findall(row.split("|")[1])]


def test_every_message_that_is_explained_is_one_of_ours(explained: list[str]) -> None:
    texts = texts_of_all(ROOT / "evodenoise")
    assert len(explained) > 30
    assert min(map(len, explained)) > 8
    assert [message for message in explained if not is_said(message, texts)] == []


def test_every_warning_and_note_is_explained(explained: list[str]) -> None:
    """Those that begin so; what is put behind "warning: FILE: " is found by no rule."""
    texts = texts_of_all(ROOT / "evodenoise")
    said = [text for text in texts if re.match("(warning|note): .*[a-z]{2}", text)]
    said = [text for text in said if len(re.findall("[a-z]{3}", text)) > 4]
    assert len(said) > 8
    assert [text for text in said if not any(is_said(each, [text]) for each in explained)] == []


def test_what_nobody_says_is_no_message() -> None:
    source = '''
def tell(name, count):
    """Say that the sky falls."""
    raise ValueError(
        f"{name}: {count} pixels of it "
        "are missing" + f"; add --mask {name or 'your mask'}"
    )
'''
    texts = texts_of(source)
    for fragment in ("pixels of it are missing", "add --mask", "your mask", "... pixels of it"):
        assert is_said(fragment, texts), fragment
    for fragment in ("the sky falls", "the noise is too loud", "of it ... pixels", "add --gain"):
        assert not is_said(fragment, texts), fragment


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target, place in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target:
            there = page.parent / target if target else page
            assert there.exists(), target
            assert not place or place in list_anchors(there), f"{target}#{place}"


def list_anchors(page: Path) -> list[str]:
    """Name the headings of a page as links do, on GitHub and in the documentation."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_bytes()) < 7 * 1024


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    for needed in ("sphinx", "myst_parser", "numpydoc", "pydata_sphinx_theme", "sphinx_copybutton"):
        pytest.importorskip(needed, reason="needs evodenoise[docs]")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "trees"), str(ROOT / "docs"), str(tmp_path / "site")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "site/commands.html").exists()


@pytest.mark.parametrize("name", sorted(set(evodenoise.__all__) - {"__version__"}))
def test_examples_in_docstrings_run(name: str) -> None:
    home = importlib.import_module(getattr(evodenoise, name).__module__)
    tests = doctest.DocTestFinder(recurse=False).find(getattr(evodenoise, name), name, home)
    runner = doctest.DocTestRunner()
    for test in tests:
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
