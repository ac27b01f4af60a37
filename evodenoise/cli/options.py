"""The options of all commands, a row each: from here follow parsing, help and settings."""

from collections.abc import Mapping
from pathlib import Path

import typer

from evodenoise.cli.completion import complete_path
from evodenoise.cli.models import Sharing
from evodenoise.cli.option import Option
from evodenoise.cli.output import Voice
from evodenoise.cli.request import Request
from evodenoise.config.presets import DEFAULT_PRESET, PRESETS
from evodenoise.config.settings import DenoiseConfig
from evodenoise.errors import ConfigError
from evodenoise.images import MOST_PIXELS, ReadOptions, WriteOptions
from evodenoise.images.conversion import SAME, FileSettings
from evodenoise.jobs.cluster import read_address
from evodenoise.jobs.job import RunSettings
from evodenoise.jobs.naming import DEFAULT_SUFFIX, Naming
from evodenoise.jobs.plan import PAGE
from evodenoise.jobs.shards import Shard

FILES, MANY, RESULTS = "Files", "Many images", "Figures and reports"
MODEL, RUN, OTHER = "Model", "Run", "Other"

HELP_ALL = "--help-all"


def read_widths(text: str) -> tuple[int, ...]:
    """Read widths separated by commas."""
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError:
        raise ConfigError(
            f"--hidden {text!r} is not a list of widths; write for example --hidden 128 or 64,64"
        ) from None


def read_stack(name: str) -> bool:
    """Tell whether one model serves all pages of a stack."""
    if name not in ("pages", "joint"):
        raise ConfigError(f"--stack {name!r} is unknown; use pages or joint")
    return name == "joint"


def _from_preset(name: str) -> str:
    """Describe a default that follows the preset: its value for a full-sized image."""
    value = getattr(PRESETS[DEFAULT_PRESET].config, name)
    shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
    return f"{shown}, from the preset"


def _print_help(context: typer.Context, wanted: bool) -> None:
    if wanted:
        typer.echo(context.get_help())
        raise typer.Exit


def _print_version(wanted: bool) -> None:
    if wanted:
        from evodenoise import __version__

        typer.echo(f"evodenoise {__version__}")
        raise typer.Exit


# fmt: off
OF_DENOISING: Mapping[str, Option] = {
    "files": Option(
        "", list[str], "FILE", "", (Request, "files"),
        "Noisy images, folders or glob patterns; - is one image from stdin.",
        read=tuple, more={"autocompletion": complete_path}),
    "output": Option(
        "-o --output", str, "PATH", FILES, (Naming, "output"),
        "Where the result goes: a file for one image, else a folder; - is stdout.",
        default=f"<name>{DEFAULT_SUFFIX}<ext> beside the input"),
    "suffix": Option(
        "--suffix", str, "TEXT", FILES, (Naming, "suffix"),
        "Ending of the results' names.",
        default=f"{DEFAULT_SUFFIX}, none with -o"),
    "format": Option(
        "--format", str, "NAME", FILES, (Naming, "ending"),
        "Format of the results: png, tif, jpg, npy, ...",
        default="that of the input"),
    "overwrite": Option(
        "--overwrite", bool, "", FILES, (RunSettings, "overwrite"),
        "Replace existing outputs."),
    "skip_existing": Option(
        "--skip-existing", bool, "", FILES, (RunSettings, "resume"),
        "Leave images whose output exists; goes on where a run was stopped."),
    "dtype": Option(
        "--dtype", str, "NAME", FILES, (FileSettings, "dtype"),
        "Values of the result: same, uint8, uint16 or float32; rounded and clipped, not "
        "rescaled.",
        default=f"{SAME}, as in the input"),
    "rescale": Option(
        "--rescale", bool, "", FILES, (FileSettings, "rescale"),
        "With --dtype: bring the values to the span of that type, instead of rounding and "
        "clipping them as they are."),
    "strip": Option(
        "--strip", bool, "", FILES, (FileSettings, "strip"),
        "Drop the metadata."),
    "quality": Option(
        "--quality", int, "NUMBER", FILES, (WriteOptions, "quality"),
        "Of lossy compression, 1 to 100.",
        default="95 for JPEG; WebP is lossless"),
    "axes": Option(
        "--axes", str, "LETTERS", FILES, (ReadOptions, "axes"),
        "What the axes of an array or a stack are, for example TYX or YXC: rows Y, columns X, "
        "channels C, all others pages.",
        default="as the file says"),
    "mask": Option(
        "--mask", Path, "FILE", FILES, (FileSettings, "mask"),
        "Image whose values other than zero mark missing pixels; they are filled.",
        default="none; in float files NaN is missing, too"),
    "max_pixels": Option(
        "--max-pixels", int, "COUNT", FILES, (ReadOptions, "most_pixels"),
        "Refuse larger files, pages counted, unread.",
        default=f"{MOST_PIXELS // 10**6} million"),
    "recursive": Option(
        "-r --recursive", bool, "", MANY, (Request, "recursive"),
        "Folders inside of folders, too; the output mirrors them."),
    "jobs": Option(
        "-j --jobs", int, "COUNT", MANY, (Request, "jobs"),
        "Images at once, each in a process; they share the cores.",
        default="one a GPU; on the CPU one, or as many small ones as there are cores",
        more={"min": 1}),
    "fail_fast": Option(
        "--fail-fast", bool, "", MANY, (Request, "fail_fast"),
        "Begin no further image after one failed."),
    "shard": Option(
        "--shard", str, "K/N", MANY, (Request, "shard"),
        "Do part K of N of the images, K from 0; each part may run on a machine of its own.",
        default="all", read=Shard.parse),
    "scheduler": Option(
        "--scheduler", str, "ADDRESS", MANY, (Request, "scheduler"),
        "Let a dask cluster do it, for example tcp://host:8786; all machines share the files.",
        default="this machine", read=read_address),
    "dry_run": Option(
        "--dry-run", bool, "", MANY, (Request, "dry_run"),
        "Check and print what would be done, and do nothing."),
    "reference": Option(
        "--reference", Path, "PATH", RESULTS, (Request, "reference"),
        "Clean image, or a folder with clean images of the same names; prints PSNR in dB and "
        "SSIM, before and after.",
        default="none"),
    "data_range": Option(
        "--data-range", float, "VALUE", RESULTS, (RunSettings, "data_range"),
        "Peak value for PSNR and SSIM, in pixel units.",
        default="span of the integer type; for floats the reference's max - min"),
    "report": Option(
        "--report", list[Path], "FILE", RESULTS, (Request, "reports"),
        "A row for each image, .json, .jsonl or .csv, or a page with pictures, .html; may be "
        "repeated.",
        default="none", read=tuple),
    "figure": Option(
        "--figure", Path, "PATH", RESULTS, (Request, "figure"),
        "Picture for comparison, .png; for many images a folder, with contact sheets.",
        default="none"),
    "residual": Option(
        "--residual", Path, "PATH", RESULTS, (Request, "residual"),
        "Noisy minus denoised, as 32-bit floats, .tif or .npy; for many images a folder.",
        default="none"),
    "uncertainty": Option(
        "--uncertainty", str, "PATH", RESULTS, (Request, "uncertainty"),
        "Standard deviation of each pixel's error, as 32-bit floats in the units of the input, "
        f".tif or .npy; for many images a folder; '{PAGE}': in the result itself, a TIFF.",
        default="none", more={"autocompletion": complete_path}),
    "preset": Option(
        "--preset", str, "NAME", RUN, (RunSettings, "preset"),
        f"{', '.join(PRESETS)}; see 'evodenoise presets'.",
        default=DEFAULT_PRESET),
    "time_limit": Option(
        "--time-limit", float, "SECONDS", RUN, (DenoiseConfig, "time_limit"),
        "Seconds for each image, files included; training is shortened to fit.",
        default="none"),
    "epochs": Option(
        "--epochs", int, "COUNT", RUN, (DenoiseConfig, "epochs"),
        "Length of the training, in passes over a sub-lattice of the patches.",
        default=_from_preset("epochs")),
    "sigma": Option(
        "--sigma", float, "VALUE", MODEL, (DenoiseConfig, "noise_std"),
        "Noise level, as standard deviation in pixel units.",
        default="estimated from the image"),
    "noise": Option(
        "--noise", str, "KIND", MODEL, (DenoiseConfig, "noise"),
        "What sort of noise it is: auto, white, coloured or photon.",
        default="auto"),
    "noise_file": Option(
        "--noise-file", Path, "FILE", MODEL, (RunSettings, "noise_file"),
        "The noise as 'evodenoise info --save-noise' found it, for example in a dark frame.",
        default="none"),
    "impulses": Option(
        "--impulses", str, "NAME", MODEL, (DenoiseConfig, "impulses"),
        "auto: dead and hot pixels, cosmic rays, salt and pepper are found and filled; off: all "
        "pixels count.",
        default="auto"),
    "gain": Option(
        "--gain", float, "VALUE", MODEL, (DenoiseConfig, "gain"),
        "Photon noise: its variance per unit of signal, in pixel units.",
        default="no photon noise"),
    "readout": Option(
        "--readout", float, "VALUE", MODEL, (DenoiseConfig, "readout"),
        "With --gain: standard deviation of the noise without light, in pixel units.",
        default=0),
    "offset": Option(
        "--offset", float, "VALUE", MODEL, (DenoiseConfig, "offset"),
        "With --gain: the value without light, in pixel units.",
        default=0),
    "strength": Option(
        "--strength", float, "FACTOR", MODEL, (DenoiseConfig, "strength"),
        "Times the noise level, given or estimated: 0.5 is gentler, 2 stronger.",
        default=1),
    "clipped": Option(
        "--clipped", str, "NAME", MODEL, (DenoiseConfig, "clipped"),
        "keep: tones near black and white stay means of clipped values; restore: they become "
        "those of values before they were clipped.",
        default="keep"),
    "covariance": Option(
        "--covariance", str, "NAME", MODEL, (DenoiseConfig, "covariance"),
        "dct: the decoder emits variances beside means; none: means only.",
        default=_from_preset("covariance")),
    "refine": Option(
        "--refine", str, "NAME", MODEL, (DenoiseConfig, "refinement"),
        "Local models on similar patches at the end: full, quick, gaussian or none.",
        default=_from_preset("refinement")),
    "patch_size": Option(
        "--patch-size", int, "PIXELS", MODEL, (DenoiseConfig, "patch_size"),
        "Side of the square patches, at least 4.",
        default="7 to 10 by the noise, 6 to 8 in colour, less for a tiny image"),
    "latents": Option(
        "--latents", int, "COUNT", MODEL, (DenoiseConfig, "latents"),
        "Binary latents.",
        default=_from_preset("latents")),
    "hidden": Option(
        "--hidden", str, "WIDTHS", MODEL, (DenoiseConfig, "hidden"),
        "Units of each hidden layer of the decoder, separated by commas.",
        default=_from_preset("hidden"), read=read_widths),
    "states": Option(
        "--states", int, "COUNT", MODEL, (DenoiseConfig, "states"),
        "Variational states a patch.",
        default=_from_preset("states")),
    "stack": Option(
        "--stack", str, "NAME", RUN, (RunSettings, "joint"),
        "pages: a model for each page of a stack; joint: one for all, faster.",
        default="pages", read=read_stack),
    "save_model": Option(
        "--save-model", Path, "FILE", MODEL, (Sharing, "save"),
        "Keep the trained model.",
        default="none"),
    "load_model": Option(
        "--load-model", Path, "FILE", MODEL, (RunSettings, "model"),
        "Begin with a kept model: no training, unless --epochs asks for more of it.",
        default="none"),
    "share_model": Option(
        "--share-model", bool, "", MODEL, (Sharing, "shared"),
        "Train one model on a sample of all images, and use it for each."),
    "seed": Option(
        "--seed", int, "NUMBER", RUN, (RunSettings, "seed"),
        "Seed of all randomness.",
        default=0),
    "device": Option(
        "--device", str, "NAME", RUN, (DenoiseConfig, "device"),
        "auto, cpu, cuda, cuda:N or mps; auto takes a CUDA GPU if there is one.",
        default="auto"),
    "threads": Option(
        "--threads", int, "COUNT", RUN, (RunSettings, "threads"),
        "CPU threads of an image.",
        default="all cores", more={"min": 1}),
    "json": Option(
        "--json", bool, "", OTHER, (Voice, "as_json"),
        "Print one JSON document on stdout."),
    "quiet": Option(
        "-q --quiet", bool, "", OTHER, (Voice, "quiet"),
        "No progress and no summary."),
    "verbose": Option(
        "-v --verbose", bool, "", OTHER, (Voice, "verbose"),
        "One line an epoch; the traceback of an error."),
    "version": Option(
        "--version", bool, "", OTHER, None,
        "Print the version and exit.",
        more={"callback": _print_version, "is_eager": True}),
    "help": Option(
        "-h --help", bool, "", OTHER, None,
        "Show this help and exit.",
        more={"callback": _print_help, "is_eager": True}),
    "help_all": Option(
        HELP_ALL, bool, "", OTHER, None,
        "Show all options and exit.",
        more={"callback": _print_help, "is_eager": True}),
}
"""Those of `evodenoise FILE...`, all of them."""

COMMON = (
    "files", "output", "overwrite", "skip_existing", "mask", "recursive", "reference", "report",
    "figure", "preset", "time_limit", "sigma", "device", "json", "version", "help", "help_all",
)
"""Those of them that people need most."""

OF_OTHERS: Mapping[str, Option] = {
    "file": Option(
        "", Path, "FILE", "", None,
        "Image or stack of pages."),
    "truth": Option(
        "", Path, "REFERENCE", "", None,
        "Clean image."),
    "images": Option(
        "", list[Path], "IMAGE", "", None,
        "Images to compare with it."),
    "clean": Option(
        "", list[Path], "CLEAN", "", None,
        "Clean 8- or 16-bit images."),
    "sigmas": Option(
        "--sigma", str, "VALUES", RUN, None,
        "Noise levels to add, in pixel units, separated by commas.",
        default="25"),
    "presets": Option(
        "--preset", str, "NAMES", RUN, None,
        "Presets to measure, separated by commas.",
        default=DEFAULT_PRESET),
    "seeds": Option(
        "--seeds", str, "NUMBERS", RUN, None,
        "Seeds of noise and denoiser, separated by commas; means and standard deviations are "
        "over them.",
        default=0),
    "save_noise": Option(
        "--save-noise", Path, "PATH", RESULTS, None,
        "Keep what was found of the noise, for 'evodenoise --noise-file'.",
        default="none"),
    "noise_figure": Option(
        "--figure", Path, "FILE", RESULTS, None,
        "Draw the noise: level over brightness, and spectrum.",
        default="none"),
    "table": Option(
        "--report", Path, "FILE", RESULTS, None,
        "A row for each image: .json, .jsonl or .csv.",
        default="none"),
    "markdown": Option(
        "--markdown", bool, "", RESULTS, None,
        "Print the table as Markdown."),
    "traceback": Option(
        "-v --verbose", bool, "", OTHER, None,
        "Show the traceback of an error."),
}
# fmt: on
"""Those that only other commands have."""

OPTIONS: Mapping[str, Option] = {**OF_DENOISING, **OF_OTHERS}


def pick(*names: str) -> dict[str, Option]:
    """Take options out of the table, in the order of the names."""
    return {name: OPTIONS[name] for name in names}
