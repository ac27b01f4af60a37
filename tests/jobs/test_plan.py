"""What maps to what: inputs, outputs, references, and what is passed over."""

from pathlib import Path

import pytest

from evodenoise.errors import ConfigError, EvodenoiseError, ImageError, OutputError
from evodenoise.jobs.naming import Naming
from evodenoise.jobs.plan import add_extras, make_plan, refuse_existing

FILES = [
    *("shots/b.png", "shots/a.tif", "shots/.hidden.png", "shots/notes.txt", "shots/sub/c.jpg"),
    *("shots/.git/d.png", "one.png", "two.npy", "gt/b.png", "gt/a.png", "gt/deep/c.png"),
]


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return tmp_path


def mapping(*inputs: str, recursive: bool = False, **naming: str) -> dict[str, str]:
    plan = make_plan(inputs, Naming(**naming), recursive=recursive)
    return {str(job.source): str(job.target) for job in plan.jobs}


def test_a_file_beside_itself_or_where_one_says() -> None:
    assert mapping("one.png") == {"one.png": "one_denoised.png"}
    assert mapping("one.png", suffix="_x", ending="tif") == {"one.png": "one_x.tif"}
    assert mapping("one.png", output="here.png") == {"one.png": "here.png"}
    assert mapping("one.png", output="new/") == {"one.png": "new/one.png"}
    assert mapping("one.png", output="shots") == {"one.png": "shots/one.png"}


def test_a_folder_in_the_order_of_names() -> None:
    found = mapping("shots", output="out")
    assert list(found.items()) == [("shots/a.tif", "out/a.tif"), ("shots/b.png", "out/b.png")]
    assert mapping("shots")["shots/b.png"] == "shots/b_denoised.png"


def test_a_tree_is_mirrored() -> None:
    assert mapping("shots", recursive=True, output="out") == {
        "shots/a.tif": "out/a.tif",
        "shots/b.png": "out/b.png",
        "shots/sub/c.jpg": "out/sub/c.jpg",
    }


def test_files_folders_and_globs_may_be_mixed() -> None:
    found = mapping("two.npy", "shots", "*.png", "one.png", output="out")
    assert list(found) == ["two.npy", "shots/a.tif", "shots/b.png", "one.png"]
    assert mapping("**/c.*", output="out") == {
        "gt/deep/c.png": "out/gt/deep/c.png",
        "shots/sub/c.jpg": "out/shots/sub/c.jpg",
    }


def test_what_is_not_for_us_is_counted() -> None:
    assert make_plan(["shots"], Naming()).passed_over == 2
    for name in ("shots/b_denoised.png", "shots/out/b.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    assert make_plan(["shots"], Naming()).passed_over == 3
    beside = make_plan(["shots/b.png", "shots/b_denoised.png"], Naming())
    assert [str(job.source) for job in beside.jobs] == ["shots/b.png"]
    within = make_plan(["shots"], Naming("shots/out"), recursive=True)
    assert "shots/out/b.png" not in [str(job.source) for job in within.jobs]


@pytest.mark.parametrize(
    ("inputs", "naming", "error", "reason"),
    [
        (["one.png", "gt/b.png", "shots/b.png"], {"output": "out"}, OutputError, "both become"),
        (["shots"], {"output": "shots"}, OutputError, "is the input itself"),
        (["shots"], {"output": "one.png"}, OutputError, "one.png: is a file"),
        (["one.png", "nope.png"], {}, ImageError, "nope.png: cannot be read"),
        (["no*.png"], {}, ImageError, "no file matches"),
        (["shots/.git"], {"output": "shots/x", "suffix": ""}, None, ""),
        (["one.png"], {"output": "x.png", "ending": "tif"}, ConfigError, "names the file already"),
        (["one.png"], {"ending": "gif"}, ConfigError, "--format 'gif' is unknown"),
        (["one.png"], {"suffix": "a/b"}, ConfigError, "--suffix"),
    ],
)
def test_refusals(
    inputs: list[str], naming: dict[str, str], error: type[EvodenoiseError] | None, reason: str
) -> None:
    if error is None:
        assert make_plan(inputs, Naming(**naming)).jobs
        return
    with pytest.raises(error, match=reason):
        make_plan(inputs, Naming(**naming))


def test_two_inputs_of_one_output_are_both_named() -> None:
    with pytest.raises(OutputError, match=r"gt/b.png and shots/b.png would both become out/b.png"):
        make_plan(["gt", "shots"], Naming("out"))


def test_references_pair_by_name() -> None:
    plan = make_plan(["shots"], Naming("out"), recursive=True, reference=Path("gt"))
    pairs = [str(job.reference) for job in plan.jobs]
    assert pairs == ["gt/a.png", "gt/b.png", "gt/deep/c.png"]
    one = make_plan(["shots"], Naming("out"), reference=Path("gt/b.png"))
    assert {str(job.reference) for job in one.jobs} == {"gt/b.png"}
    with pytest.raises(ImageError, match="holds no image with the name"):
        make_plan(["two.npy"], Naming("out"), reference=Path("gt"))


def test_residuals_and_figures_of_many_images_go_to_folders() -> None:
    plan = add_extras(make_plan(["shots"], Naming("out")), residual=Path("r"), figure=Path("f"))
    assert [str(job.residual) for job in plan.jobs] == ["r/a.tif", "r/b.tif"]
    assert [str(job.figure) for job in plan.jobs] == ["f/a.png", "f/b.png"]
    with pytest.raises(OutputError, match="for several images name a folder"):
        add_extras(plan, figure=Path("f.png"))
    Path("shots/a.png").touch()
    twins = add_extras(make_plan(["shots"], Naming("out")), figure=Path("f"))
    assert [str(job.figure) for job in twins.jobs] == ["f/a.png.png", "f/a.tif.png", "f/b.png"]


def test_error_bars_go_to_files_folders_or_the_result_itself() -> None:
    many = make_plan(["shots"], Naming("out"))
    beside = add_extras(many, uncertainty="u").jobs
    assert [str(job.uncertainty) for job in beside] == ["u/a.tif", "u/b.tif"]
    assert [job.has_page for job in beside] == [False, False]
    assert Path("u/a.tif") in beside[0].outputs()
    one = make_plan(["one.png"], Naming("one.tif"))
    [page] = add_extras(one, uncertainty="page").jobs
    assert page.has_page
    assert page.outputs() == (Path("one.tif"),)
    [file] = add_extras(one, uncertainty="./page.npy").jobs
    assert (file.has_page, file.beside) == (False, Path("page.npy"))
    with pytest.raises(OutputError, match=r"out/b.png: --uncertainty page needs a TIFF result"):
        add_extras(many, uncertainty="page")
    with pytest.raises(OutputError, match="for several images name a folder"):
        add_extras(many, uncertainty="u.tif")
    with pytest.raises(OutputError, match=r"u.png: unknown ending; use .tif or .tiff or .npy"):
        add_extras(one, uncertainty="u.png")


def test_existing_results_are_named_and_counted() -> None:
    plan = make_plan(["shots"], Naming("out"))
    refuse_existing(plan.jobs)
    Path("out").mkdir()
    Path("out/b.png").touch()
    with pytest.raises(OutputError, match=r"out/b.png: exists already"):
        refuse_existing(plan.jobs)
