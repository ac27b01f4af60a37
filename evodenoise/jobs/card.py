"""An image of a run as a part of a page: pictures with a slider, figures, warnings.

Names of files and words of metadata are anybody's: they enter as text only.
"""

import base64
import html
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

from evodenoise.errors import plural
from evodenoise.evaluation.views import MEDIA_TYPE, View, Views
from evodenoise.jobs.job_result import CLIPPED_WORDS
from evodenoise.jobs.records import Record

SORTS = (
    ("name", "name", "up"),
    ("noise_std", "noise", "down"),
    ("wall_seconds", "seconds", "down"),
    ("psnr", "PSNR", "up"),
)
"""What cards are sorted by: the column, what it is called, and which way at first."""

COARSE = 160
"""Views with a side below, in pixels, are enlarged, as details are: each pixel is to be seen."""

_IMAGE = re.compile(
    r'<img class="\w+" alt="[^"<>]*" width="(\d+)" height="(\d+)" loading="lazy" decoding="async" '
    rf'src="data:{MEDIA_TYPE};base64,([A-Za-z0-9+/=]+)">'
)
_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and bytes of file names that are no characters."""


def make_card(record: Record, views: Views | None) -> str:
    """Make the part of the page that is about one image.

    Parameters
    ----------
    record : dict
        Of the image.
    views : Views or None
        Its pictures.
    """
    name, status = record["input"], record["status"]
    keys = {column: record[column] for column, *_ in SORTS if column != "name"}
    attributes = "".join(
        f' data-{column.replace("_", "-")}="{value!r}"'
        for column, value in keys.items()
        if value is not None
    )
    doubtful = " data-doubtful" * bool(record["warnings"] or record["error"])
    place = name if record["output"] is None else f"{name} \N{RIGHTWARDS ARROW} {record['output']}"
    return "\n".join(
        [
            f'<article class="card" data-name="{as_text(name)}"{attributes}{doubtful}>',
            f"<header><h2><bdi>{as_text(PurePath(name).name)}</bdi></h2>"
            f'<span class="badge {as_text(status)}">{as_text(status)}</span>'
            f'<p class="paths"><bdi>{as_text(place)}</bdi></p></header>',
            *([] if views is None else [_show(views, name)]),
            *([] if record["error"] is None else [_error(record)]),
            _list(_facts(record), "facts"),
            *_warnings(record["warnings"]),
            "<details><summary>all that is known</summary>",
            _list(((column, _word(value)) for column, value in record.items()), "all"),
            "</details>",
            "</article>",
        ]
    )


def _error(record: Record) -> str:
    reason = str(record["error"]).removeprefix(f"{record['input']}: ")
    return f'<p class="error">{as_text(reason)}</p>'


def _warnings(warnings: Sequence[str]) -> Iterator[str]:
    if warnings:
        items = "".join(f"<li>{as_text(warning)}</li>" for warning in warnings)
        yield f'<ul class="warnings">{items}</ul>'


def _show(views: Views, name: str) -> str:
    """Show the pictures; in the order of `NAMES`, in which they are read back."""
    left, top, width, height = (f"{100 * share:.4g}" for share in views.frame)
    frame = (
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}"/></svg>'
    )
    label = f'aria-label="noisy to denoised: {as_text(name)}" aria-valuetext="50 % noisy"'
    hidden = 'tabindex="-1" aria-hidden="true"'
    caption = "<figcaption><span>noisy</span><span>{}</span><span>denoised</span></figcaption>"
    before_and_after = (
        '<img class="before" alt="noisy"',
        '<img class="after" alt="denoised"',
    )
    return "\n".join(
        [
            '<div class="views">',
            f"<figure>{caption.format('')}{_stack(views.denoised)}",
            _image(views.noisy, before_and_after[0]),
            _image(views.denoised, before_and_after[1]),
            f'{frame}<input type="range" min="0" max="100" value="50" {label}></div></figure>',
            f"<figure>{caption.format('detail')}{_stack(views.denoised_detail, coarse=True)}",
            _image(views.noisy_detail, before_and_after[0]),
            _image(views.denoised_detail, before_and_after[1]),
            f'<input type="range" min="0" max="100" value="50" {hidden}></div></figure>',
            "<figure><figcaption><span>taken away</span>"
            f"<span>black to white: ±{views.span:.4g}</span></figcaption>{_stack(views.residual)}",
            _image(views.residual, '<img class="residual" alt="noisy minus denoised"'),
            "</div></figure></div>",
        ]
    )


def _stack(view: View, *, coarse: bool = False) -> str:
    """Begin pictures that lie on each other."""
    coarse = coarse or max(view.width, view.height) < COARSE
    tall = " tall" * (view.height > view.width)
    return f'<div class="stack{tall}{" coarse" * coarse}">'


def _image(view: View, start: str) -> str:
    code = base64.b64encode(view.data).decode("ascii")
    return (
        f'{start} width="{view.width}" height="{view.height}" loading="lazy" decoding="async" '
        f'src="data:{MEDIA_TYPE};base64,{code}">'
    )


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    """Say what people look for first."""
    if record["noise_std"] is not None:
        doubt = record["noise_uncertainty"]
        known = [record["noise_source"], record["noise_kind"]]
        words = ", ".join(word for word in known if word and word != "none")
        off = "" if doubt is None else f" ± {doubt:.2g}"
        yield "noise level", f"{record['noise_std']:.4g}{off}" + (f" ({words})" if words else "")
    for column, name, form, unit in (("psnr", "PSNR", ".2f", " dB"), ("ssim", "SSIM", ".4f", "")):
        before, after = record[f"{column}_noisy"], record[column]
        if record["ssim"] is not None:
            values = ("inf" if each is None else format(each, form) for each in (before, after))
            yield name, " \N{RIGHTWARDS ARROW} ".join(values) + unit
    if record["wall_seconds"] is not None:
        yield "seconds", f"{record['wall_seconds']:.1f} (CPU {record['cpu_seconds'] or 0:.1f})"
    if record["width"] is not None:
        pages = f"{plural(record['pages'], 'page')}, " if (record["pages"] or 1) > 1 else ""
        channels = f" x {record['channels']}" if (record["channels"] or 1) > 1 else ""
        size = f"{record['width']} x {record['height']}{channels}"
        yield "image", f"{pages}{size}, {record['dtype']}"
    if record["epochs"] is not None:
        yield "training", f"{record['preset']}, {plural(record['epochs'], 'epoch')}"
    if record["missing_share"]:
        yield "missing pixels", f"{100 * record['missing_share']:.3g} %"
    if record["impulses"]:
        yield "impulses", str(record["impulses"])
    if record["clipped"] in CLIPPED_WORDS:
        yield "clipped values", CLIPPED_WORDS[record["clipped"]]


def _list(pairs: Iterator[tuple[str, str]], name: str) -> str:
    items = (f"<div><dt>{as_text(term)}</dt><dd>{as_text(said)}</dd></div>" for term, said in pairs)
    return f'<dl class="{name}">{"".join(items)}</dl>'


def _word(value: Any) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, list):
        return " | ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def as_text(value: object) -> str:
    """Make text of HTML of anything: file names may be any bytes, and hold any characters.

    Parameters
    ----------
    value : object
        Whatever is to be shown.

    Returns
    -------
    str
        Safe between tags, and between the quotes of an attribute.
    """
    return html.escape(_NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", str(value)), quote=True)


def read_pictures(page: str) -> Iterator[View]:
    """Read back the pictures of all cards of a page, in their order."""
    for width, height, code in _IMAGE.findall(page):
        yield View(int(width), int(height), base64.b64decode(code))
