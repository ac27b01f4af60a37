"""What is released: the contents of wheel and source archive, and that the wheel runs."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

for needed in ("build", "setuptools_scm", "twine"):
    pytest.importorskip(needed, reason="needs evodenoise[dev]")

ROOT = Path(__file__).parents[1]
TOP = {
    ".ci",
    ".dockerignore",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "Dockerfile",
    "LICENSE",
    "PKG-INFO",
    "README.md",
    "SECURITY.md",
    "docs",
    "evodenoise",
    "evodenoise.egg-info",
    "examples",
    "pyproject.toml",
    "setup.cfg",
    "tests",
}


def run(*command: str | Path, **options: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build wheel and source archive of a copy of what git knows."""
    home = tmp_path_factory.mktemp("package")
    if not (ROOT / ".git").exists():
        pytest.skip("needs a checkout")
    copy = home / "copy"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(copy)], check=True, timeout=120)
    subprocess.run(["git", "tag", "v9.8.7"], cwd=copy, check=True, timeout=60)
    run("build", "--no-isolation", "--outdir", home / "dist", copy)
    (wheel,) = (home / "dist").glob("*.whl")
    (source,) = (home / "dist").glob("*.tar.gz")
    return wheel, source


def test_the_version_is_that_of_the_tag(archives: tuple[Path, Path]) -> None:
    assert [each.name for each in archives] == [
        "evodenoise-9.8.7-py3-none-any.whl",
        "evodenoise-9.8.7.tar.gz",
    ]


def test_the_wheel_holds_the_package_and_nothing_else(archives: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(archives[0]) as wheel:
        names = wheel.namelist()
    own = {name for name in names if not name.startswith("evodenoise-9.8.7.dist-info/")}
    command = ["git", "ls-files", "evodenoise"]
    known = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert own == set(known.stdout.split())
    assert "evodenoise/py.typed" in own


def test_the_source_archive_has_no_stray_files(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[1]) as source:
        names = [Path(name).relative_to("evodenoise-9.8.7") for name in source.getnames()]
    assert {name.parts[0] for name in names if name.parts} == TOP
    assert not [name for name in names if name.suffix in (".pyc", ".so", ".pt", ".log")]


def test_both_would_be_taken(archives: tuple[Path, Path]) -> None:
    run("twine", "check", "--strict", *archives)


def test_the_wheel_runs(archives: tuple[Path, Path], tmp_path: Path) -> None:
    run("pip", "install", "-q", "--no-deps", "--target", tmp_path, archives[0])
    said = run("evodenoise", "--version", cwd=tmp_path)
    assert said == "evodenoise 9.8.7\n"
