"""The command line: parse, call, print, exit code."""

import os
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evodenoise import __version__
from evodenoise.config import DenoiseConfig
from evodenoise.errors import ConfigError, EvodenoiseError, RunError

if TYPE_CHECKING:
    from evodenoise.images import Array, Image
    from evodenoise.pipeline import DenoiseResult

INTERRUPTED = 130
DEFAULTS = DenoiseConfig()
DEFAULT_HIDDEN = ",".join(map(str, DEFAULTS.hidden))
FILES, MODEL, RUN, OTHER = "Files", "Model", "Run", "Other"

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"evodenoise {__version__}")
        raise typer.Exit


InputOption = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="Noisy image: PNG, JPEG, TIFF or .npy.", show_default=False
    ),
]
OutputOption = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Where the result goes; in a folder it keeps the input's name.",
        show_default="<name>_denoised<ext> beside the input",
        rich_help_panel=FILES,
    ),
]
ReferenceOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Clean image; prints PSNR in dB and SSIM, before and after.",
        show_default="none",
        rich_help_panel=FILES,
    ),
]
DataRangeOption = Annotated[
    float | None,
    typer.Option(
        metavar="VALUE",
        help="Peak value for PSNR and SSIM, in pixel units.",
        show_default="span of the integer type; for floats the reference's max - min",
        rich_help_panel=FILES,
    ),
]
OverwriteOption = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace an existing output.", rich_help_panel=FILES),
]
PatchSizeOption = Annotated[
    int | None,
    typer.Option(
        metavar="PIXELS",
        help="Side of the square patches, at least 4.",
        show_default="8, less for a tiny image",
        rich_help_panel=MODEL,
    ),
]
LatentsOption = Annotated[
    int, typer.Option(metavar="COUNT", help="Binary latents.", rich_help_panel=MODEL)
]
HiddenOption = Annotated[
    str,
    typer.Option(
        metavar="WIDTHS",
        help="Units of each hidden layer of the decoder, separated by commas.",
        rich_help_panel=MODEL,
    ),
]
StatesOption = Annotated[
    int,
    typer.Option(metavar="COUNT", help="Variational states a patch.", rich_help_panel=MODEL),
]
EpochsOption = Annotated[
    int, typer.Option(metavar="COUNT", help="Passes over the patches.", rich_help_panel=RUN)
]
SeedOption = Annotated[
    int, typer.Option(metavar="NUMBER", help="Seed of all randomness.", rich_help_panel=RUN)
]
DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="auto, cpu, cuda, cuda:N or mps; auto takes a CUDA GPU if there is one.",
        rich_help_panel=RUN,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        metavar="COUNT",
        min=1,
        help="CPU threads.",
        show_default="all cores",
        rich_help_panel=RUN,
    ),
]
QuietOption = Annotated[
    bool,
    typer.Option("-q", "--quiet", help="No progress and no summary.", rich_help_panel=OTHER),
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        "-v",
        "--verbose",
        help="One line an epoch; the traceback of an error.",
        rich_help_panel=OTHER,
    ),
]
VersionOption = Annotated[
    bool,
    typer.Option(
        "--version",
        callback=_print_version,
        is_eager=True,
        help="Print the version and exit.",
        rich_help_panel=OTHER,
    ),
]


@app.command()
def denoise(
    file: InputOption,
    output: OutputOption = None,
    reference: ReferenceOption = None,
    data_range: DataRangeOption = None,
    overwrite: OverwriteOption = False,
    patch_size: PatchSizeOption = None,
    latents: LatentsOption = DEFAULTS.latents,
    hidden: HiddenOption = DEFAULT_HIDDEN,
    states: StatesOption = DEFAULTS.states,
    epochs: EpochsOption = DEFAULTS.epochs,
    seed: SeedOption = 0,
    device: DeviceOption = DEFAULTS.device,
    threads: ThreadsOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    version: VersionOption = False,  # noqa: ARG001 - handled by its callback
) -> None:
    """Denoise one image, learning from that image alone.

    [bold]evodenoise noisy.png -o clean.png[/bold]
    """
    config = replace(
        DEFAULTS,
        patch_size=patch_size,
        latents=latents,
        hidden=_parse_widths(hidden),
        states=states,
        epochs=epochs,
        device=device,
    )
    started = time.perf_counter()
    target = _target(file, output)
    image = _read_input(file, target, config, overwrite=overwrite)
    truth = _Truth.read(reference, image, data_range) if reference else None
    result = _train(image, config, seed=seed, threads=threads, quiet=quiet, verbose=verbose)
    _write(target, image, result)
    if truth:
        truth.print_quality(image.pixels, result.image)
    if not quiet:
        _print_summary(image, result, time.perf_counter() - started, target)


def _parse_widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(width) for width in text.split(","))
    except ValueError:
        raise ConfigError(
            f"--hidden {text!r} is not a list of widths; write for example --hidden 128 or 64,64"
        ) from None


def _target(file: Path, output: str | None) -> Path:
    """Work out where the result of `file` goes."""
    if output is None:
        return file.with_name(f"{file.stem}_denoised{file.suffix}")
    path = Path(output)
    return path / file.name if output.endswith(os.sep) or path.is_dir() else path


def _read_input(file: Path, target: Path, config: DenoiseConfig, *, overwrite: bool) -> "Image":
    """Read the image and refuse, before any training, what could not end well."""
    from evodenoise.images import check_output, read_image

    image = read_image(file)
    check_output(target, image.pixels, source=file, overwrite=overwrite)

    from evodenoise.device import resolve_device
    from evodenoise.pipeline import check_image

    check_image(image.pixels, config, name=str(file))
    resolve_device(config.device)
    return image


class _Truth:
    """The reference image of a run."""

    def __init__(self, pixels: "Array", data_range: float) -> None:
        self.pixels = pixels
        self.data_range = data_range

    @classmethod
    def read(cls, path: Path, image: "Image", data_range: float | None) -> "_Truth":
        """Read the reference and check that it can be compared with the image."""
        from evodenoise.images import read_image
        from evodenoise.metrics import check_reference

        pixels = read_image(path).pixels
        return cls(pixels, check_reference(pixels, image.pixels, data_range, name=str(path)))

    def print_quality(self, noisy: "Array", denoised: "Array") -> None:
        """Print PSNR and SSIM before and after, on stdout."""
        from evodenoise.metrics import measure

        typer.echo(f"data range {self.data_range:g}")
        for name, pixels in (("noisy", noisy), ("denoised", denoised)):
            quality = measure(self.pixels, pixels, data_range=self.data_range)
            typer.echo(f"{name:<9} PSNR {quality.psnr:6.2f} dB   SSIM {quality.ssim:.4f}")


def _train(
    image: "Image",
    config: DenoiseConfig,
    *,
    seed: int,
    threads: int | None,
    quiet: bool,
    verbose: bool,
) -> "DenoiseResult":
    """Denoise the pixels, showing progress on stderr."""
    import torch

    from evodenoise import pipeline
    from evodenoise.device import describe_device, resolve_device
    from evodenoise.progress import show_epochs

    if threads:
        torch.set_num_threads(threads)
    if config.device == "auto" and not quiet:
        typer.echo(f"device: {describe_device(resolve_device('auto'))}", err=True)
    with show_epochs(config.epochs, quiet=quiet, verbose=verbose) as on_epoch:
        return pipeline.denoise(image.pixels, config, rng=seed, on_epoch=on_epoch)


def _write(target: Path, image: "Image", result: "DenoiseResult") -> None:
    from evodenoise.images import write_image

    target.parent.mkdir(parents=True, exist_ok=True)
    write_image(target, replace(image, pixels=result.image))


def _print_summary(image: "Image", result: "DenoiseResult", seconds: float, target: Path) -> None:
    height, width = image.pixels.shape[:2]
    typer.echo(
        f"{width} x {height} pixels, noise level {result.noise_std:.4g}, {seconds:.1f} s: {target}",
        err=True,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Instead of the process's own.

    Returns
    -------
    int
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return app(given, prog_name="evodenoise", standalone_mode=False) or 0
    except typer.TyperException as error:  # usage
        return _fail(error.format_message(), error.exit_code)
    except EvodenoiseError as error:
        _print_traceback(given)
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted; nothing was written", INTERRUPTED)
    except Exception as error:
        _print_traceback(given)
        hint = f"{type(error).__name__}: {error} (add -v for details)"
        return _fail(hint, RunError.exit_code)


def _print_traceback(arguments: Sequence[str]) -> None:
    if "-v" in arguments or "--verbose" in arguments:
        traceback.print_exc()


def _fail(message: str, code: int) -> int:
    """Print one line on stderr and hand the exit code on."""
    if code == INTERRUPTED:
        typer.echo("", err=True)
    typer.echo(f"evodenoise: error: {' '.join(message.split())}", err=True)
    return code


def run() -> None:
    """Run the command line as the process's own and exit."""
    sys.exit(main())
