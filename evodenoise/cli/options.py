"""The options of the command line, each declared once."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from evodenoise import __version__
from evodenoise.config.presets import DEFAULT_PRESET, PRESETS
from evodenoise.images import MOST_PIXELS

FILES, MANY, RESULTS = "Files", "Many images", "Figures and reports"
MODEL, RUN, OTHER = "Model", "Run", "Other"


def option(panel: str, help_text: str, *names: str, default: object = None, **settings: Any) -> Any:
    """Declare an option with one plain sentence of help and its default, in a help panel."""
    shown = "" if default is None else rf" [dim]\[default: {default}][/dim]"
    return typer.Option(
        *names, help=help_text + shown, show_default=False, rich_help_panel=panel, **settings
    )


def flag(panel: str, help_text: str, *names: str, **settings: Any) -> Any:
    """Declare an option without a value."""
    return option(panel, help_text, *names, metavar=" ", **settings)


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
        typer.echo(f"evodenoise {__version__}")
        raise typer.Exit


Dtype = Annotated[
    str,
    option(
        FILES,
        "Values of the result: same, uint8, uint16 or float32; rounded and clipped, not rescaled.",
        metavar="NAME",
        default="same, as in the input",
    ),
]
Strip = Annotated[bool, flag(FILES, "Drop the metadata.", "--strip")]
ImageQuality = Annotated[
    int | None,
    option(
        FILES,
        "Of lossy compression, 1 to 100.",
        "--quality",
        metavar="NUMBER",
        default="95 for JPEG; WebP is lossless",
    ),
]
Axes = Annotated[
    str | None,
    option(
        FILES,
        "What the axes of an array or a stack are, for example TYX or YXC: rows Y, columns X, "
        "channels C, all others pages.",
        metavar="LETTERS",
        default="as the file says",
    ),
]
Mask = Annotated[
    Path | None,
    option(
        FILES,
        "Image whose values other than zero mark missing pixels; they are filled.",
        metavar="FILE",
        default="none; in float files NaN is missing, too",
    ),
]
Stack = Annotated[
    str,
    option(
        RUN,
        "pages: a model for each page of a stack; joint: one for all, faster.",
        metavar="NAME",
        default="pages",
    ),
]
MostPixels = Annotated[
    int,
    option(
        FILES,
        "Refuse larger files, pages counted, unread.",
        "--max-pixels",
        metavar="COUNT",
        default=f"{MOST_PIXELS // 10**6} million",
    ),
]
PresetName = Annotated[
    str,
    option(
        RUN,
        f"{', '.join(PRESETS)}; see 'evodenoise presets'.",
        "--preset",
        metavar="NAME",
        default=DEFAULT_PRESET,
    ),
]
TimeLimit = Annotated[
    float | None,
    option(
        RUN,
        "Seconds for each image, files included; training is shortened to fit.",
        metavar="SECONDS",
        default="none",
    ),
]
Sigma = Annotated[
    float | None,
    option(
        MODEL,
        "Noise level, as standard deviation in pixel units.",
        metavar="VALUE",
        default="estimated from the image",
    ),
]
CovarianceName = Annotated[
    str | None,
    option(
        MODEL,
        "dct: the decoder emits variances beside means; none: means only.",
        "--covariance",
        metavar="NAME",
        default=_from_preset("covariance"),
    ),
]
RefinementName = Annotated[
    str | None,
    option(
        MODEL,
        "Local models on similar patches at the end: full, gaussian or none.",
        "--refine",
        metavar="NAME",
        default=_from_preset("refinement"),
    ),
]
PatchSize = Annotated[
    int | None,
    option(
        MODEL,
        "Side of the square patches, at least 4.",
        metavar="PIXELS",
        default="7 to 10 by the noise, 6 to 8 in colour, less for a tiny image",
    ),
]
Latents = Annotated[
    int | None,
    option(MODEL, "Binary latents.", metavar="COUNT", default=_from_preset("latents")),
]
Hidden = Annotated[
    str | None,
    option(
        MODEL,
        "Units of each hidden layer of the decoder, separated by commas.",
        metavar="WIDTHS",
        default=_from_preset("hidden"),
    ),
]
States = Annotated[
    int | None,
    option(MODEL, "Variational states a patch.", metavar="COUNT", default=_from_preset("states")),
]
Epochs = Annotated[
    int | None,
    option(
        RUN,
        "Length of the training, in passes over a sub-lattice of the patches.",
        metavar="COUNT",
        default=_from_preset("epochs"),
    ),
]
SaveModel = Annotated[
    Path | None,
    option(MODEL, "Keep the trained model.", "--save-model", metavar="FILE", default="none"),
]
LoadModel = Annotated[
    Path | None,
    option(
        MODEL,
        "Begin with a kept model: no training, unless --epochs asks for more of it.",
        "--load-model",
        metavar="FILE",
        default="none",
    ),
]
ShareModel = Annotated[
    bool,
    flag(MODEL, "Train one model on a sample of all images, and use it for each.", "--share-model"),
]
Seed = Annotated[int, option(RUN, "Seed of all randomness.", metavar="NUMBER", default=0)]
Device = Annotated[
    str,
    option(
        RUN,
        "auto, cpu, cuda, cuda:N or mps; auto takes a CUDA GPU if there is one.",
        metavar="NAME",
        default="auto",
    ),
]
Threads = Annotated[
    int | None,
    option(RUN, "CPU threads of an image.", min=1, metavar="COUNT", default="all cores"),
]
Quiet = Annotated[bool, flag(OTHER, "No progress and no summary.", "-q", "--quiet")]
Verbose = Annotated[
    bool,
    flag(OTHER, "One line an epoch; the traceback of an error.", "-v", "--verbose"),
]
Traceback = Annotated[bool, flag(OTHER, "Show the traceback of an error.", "-v", "--verbose")]
Json = Annotated[bool, flag(OTHER, "Print one JSON document on stdout.", "--json")]
Version = Annotated[
    bool,
    flag(OTHER, "Print the version and exit.", "--version", callback=_print_version, is_eager=True),
]
Help = Annotated[
    bool,
    flag(OTHER, "Show this help and exit.", "-h", "--help", callback=_print_help, is_eager=True),
]

Command = Callable[..., None]


def make_app(
    command: Command, *, epilog: str | None = None, completion: bool = False
) -> typer.Typer:
    """Wrap one function as a Typer application of its own.

    Parameters
    ----------
    command : callable
        Its parameters are the options.
    epilog : str, optional
        Below the help.
    completion : bool
        Whether it has the options that set up completion in a shell.
    """
    app = typer.Typer(
        add_completion=completion,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    app.command(epilog=epilog, add_help_option=False)(command)
    return app
