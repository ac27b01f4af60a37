"""The options that say which files come in, and what comes out beside them."""

from pathlib import Path
from typing import Annotated

import typer

from evodenoise.cli.completion import complete_path
from evodenoise.cli.options import FILES, MANY, RESULTS, flag, option
from evodenoise.jobs.naming import DEFAULT_SUFFIX

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        help="Noisy images, folders or glob patterns; - is one image from stdin.",
        autocompletion=complete_path,
        show_default=False,
    ),
]
Output = Annotated[
    str | None,
    option(
        FILES,
        "Where the result goes: a file for one image, else a folder; - is stdout.",
        "-o",
        "--output",
        metavar="PATH",
        default=f"<name>{DEFAULT_SUFFIX}<ext> beside the input",
    ),
]
Suffix = Annotated[
    str | None,
    option(
        FILES,
        "Ending of the results' names.",
        metavar="TEXT",
        default=f"{DEFAULT_SUFFIX}, none with -o",
    ),
]
Format = Annotated[
    str | None,
    option(
        FILES,
        "Format of the results: png, tif, jpg, npy, ...",
        "--format",
        metavar="NAME",
        default="that of the input",
    ),
]
Overwrite = Annotated[bool, flag(FILES, "Replace existing outputs.", "--overwrite")]
SkipExisting = Annotated[
    bool,
    flag(
        FILES,
        "Leave images whose output exists; goes on where a run was stopped.",
        "--skip-existing",
    ),
]
Recursive = Annotated[
    bool,
    flag(MANY, "Folders inside of folders, too; the output mirrors them.", "-r", "--recursive"),
]
Jobs = Annotated[
    int | None,
    option(
        MANY,
        "Images at once, each in a process; they share the cores.",
        "-j",
        "--jobs",
        min=1,
        metavar="COUNT",
        default="one a GPU; on the CPU one, or as many small ones as there are cores",
    ),
]
FailFast = Annotated[bool, flag(MANY, "Begin no further image after one failed.", "--fail-fast")]
DryRun = Annotated[bool, flag(MANY, "Print what would be done, and do nothing.", "--dry-run")]
Reference = Annotated[
    Path | None,
    option(
        RESULTS,
        "Clean image, or a folder with clean images of the same names; prints PSNR in dB and "
        "SSIM, before and after.",
        metavar="PATH",
        default="none",
    ),
]
DataRange = Annotated[
    float | None,
    option(
        RESULTS,
        "Peak value for PSNR and SSIM, in pixel units.",
        metavar="VALUE",
        default="span of the integer type; for floats the reference's max - min",
    ),
]
ReportFile = Annotated[
    Path | None,
    option(
        RESULTS,
        "A row for each image: .json, .jsonl or .csv.",
        "--report",
        metavar="FILE",
        default="none",
    ),
]
Figure = Annotated[
    Path | None,
    option(
        RESULTS,
        "Picture for comparison, .png; for many images a folder, with contact sheets.",
        "--figure",
        metavar="PATH",
        default="none",
    ),
]
Residual = Annotated[
    Path | None,
    option(
        RESULTS,
        "Noisy minus denoised, as 32-bit floats, .tif or .npy; for many images a folder.",
        "--residual",
        metavar="PATH",
        default="none",
    ),
]
