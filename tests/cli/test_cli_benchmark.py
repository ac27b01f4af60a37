"""`evodenoise benchmark` over seeds, with a report that is gone on with."""

import csv
import json
import math
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import as_dtype, wave
from PIL import Image as PillowImage

from evodenoise.cli import main, tables
from evodenoise.errors import TrainingError
from evodenoise.evaluation import benchmark
from evodenoise.evaluation.benchmark import Case, Measurement
from evodenoise.evaluation.summary import JUDGEMENTS, MEASURED, group_records


def run(command: str) -> int:
    return main(shlex.split(command))


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = as_dtype(wave(24, 20), "uint8")
    PillowImage.fromarray(pixels).save("up.png")
    PillowImage.fromarray(pixels[::-1]).save("down.png")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """Measure nothing, but give each cell a PSNR to recognise it by; the third one fails."""
    cases: list[Case] = []

    def measure(_: Any, __: Any, case: Case, **___: Any) -> Measurement:
        cases.append(case)
        if len(cases) == 3:
            raise TrainingError("diverged")
        found = (0.9, 20.0, 0.4, 25.0, 1.0, 0.7, 0.9, 29.5, 3.0, 1.5)
        return Measurement(case, 30.0 + 2 * case.seed, *found, 0.00216, 0.5, math.nan)

    monkeypatch.setattr(benchmark, "measure_case", measure)
    return cases


def test_seeds_failures_and_going_on(
    measured: list[Case], capsys: pytest.CaptureFixture[str]
) -> None:
    command = "benchmark up.png down.png --seeds 0,1 --device cpu --report r.csv"
    assert run(f"{command} --json") == 3
    out, err = capsys.readouterr()
    assert "warning: down, sigma 25, balanced, seed 0: TrainingError: diverged" in err
    document = json.loads(out)
    assert [(row["image"], row["seed"]) for row in document["files"]] == [
        *[("up", 0), ("up", 1), ("down", 0), ("down", 1)]
    ]
    assert document["files"][2]["error"] == "TrainingError: diverged"
    judged = [document["files"][0][name] for name in JUDGEMENTS]
    assert judged == [1.0, 0.7, 0.9, 29.5]
    up, down, mean = document["summary"]["groups"]
    assert (up["psnr"], up["psnr_std"]) == (31.0, pytest.approx(np.std([30, 32], ddof=1)))
    assert (down["psnr"], down["psnr_std"], down["failed"]) == (32.0, None, 1)
    assert (mean["image"], mean["seeds"]) == ("mean", 2)

    assert run(command) == 2
    assert "r.csv: exists already" in capsys.readouterr().err
    assert run(f"{command} --skip-existing --markdown") == 0
    assert measured[4:] == [Case("down", 25.0, "balanced", 0)]
    table = capsys.readouterr().out.splitlines()
    assert table[1].startswith("| --- | --- | --: |")
    gap = table.index("")
    assert table[gap - 1].startswith("| mean | balanced | 25 | 20.00 ± 0.00 | 31.00 ± 1.41 |")
    assert table[gap + 1] == "| Mpx/s of | preset | sigma | training | rebuilding | refining |"
    assert table[-1] == "| mean | balanced | 25 | 0.00216 ± 0 | 0.5 ± 0 | - |"
    with Path("r.csv").open() as stream:
        assert [row["error"] for row in csv.DictReader(stream)] == [""] * 4


@pytest.mark.usefixtures("measured")
def test_speeds_by_stage_fit_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("benchmark up.png --device cpu --json") == 0
    document = json.loads(capsys.readouterr().out)
    for record in (*document["files"], *document["summary"]["groups"]):
        names = ("training_speed", "reconstruction_speed", "refinement_speed")
        assert [record[name] for name in names] == [0.00216, 0.5, None]
    monkeypatch.setattr(tables, "PIPE_WIDTH", 80)
    assert run("benchmark up.png --device cpu") == 0
    lines = capsys.readouterr().out.splitlines()
    gap = lines.index("")
    first, second = (" ".join(line.split()) for line in lines[gap + 1 : gap + 3])
    assert first == "Mpx/s of preset sigma training rebuilding refining"
    assert second == "up balanced 25 0.00216 0.5 -"
    assert max(map(len, lines)) <= 80


def test_ctrl_c_keeps_what_was_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(_: Any, __: Any, case: Case, **___: Any) -> Measurement:
        if case.seed:
            raise KeyboardInterrupt
        return Measurement(case, 30.0, 0.9, 20.0, 0.4, 25.0, 1.0, 0.7, 0.9, 29.5, 3.0, 1.5)

    monkeypatch.setattr(benchmark, "measure_case", measure)
    assert run("benchmark up.png --seeds 0,1 --device cpu --report r.jsonl --json") == 130
    out, err = capsys.readouterr()
    assert [row["psnr"] for row in json.loads(out)["files"]] == [30.0]
    assert "interrupted" in err
    assert len(Path("r.jsonl").read_text().splitlines()) == 1


def test_the_spread_over_all_images_is_that_of_their_means() -> None:
    """Images that differ by 10 dB do not make the mean uncertain."""
    rows = [
        {"image": image, "sigma": 25.0, "preset": "fast", "seed": seed, "error": None}
        | dict.fromkeys(MEASURED, 1.0)
        | {"psnr": 30.0 + 10 * (image == "b") + seed}
        for image in "ab"
        for seed in (0, 1)
    ]
    *_, mean = group_records(rows)
    assert mean.spreads["psnr"].mean == 35.5
    assert mean.spreads["psnr"].std == pytest.approx(np.sqrt(0.5))
