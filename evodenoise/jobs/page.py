"""A page of all images of a run, in one HTML file that needs nothing else.

Names of files and words of metadata are anybody's: they enter as text only, and the page's policy
lets nothing run or load but the one style sheet and the one script that are of ours.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from typing import Any

from evodenoise import __version__
from evodenoise.errors import plural
from evodenoise.evaluation.views import MEDIA_TYPE, NAMES, View, Views
from evodenoise.jobs.job_result import CLIPPED_WORDS
from evodenoise.jobs.records import Record, Status, document

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
_DATA = re.compile(r'<script type="application/json" id="records">(.*?)</script>', re.DOTALL)
_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and bytes of file names that are no characters."""


def make_page(
    records: Sequence[Record],
    cards: Sequence[str],
    views: Sequence[Views | None],
    summary: Mapping[str, Any],
) -> str:
    """Make the whole page.

    Parameters
    ----------
    records : sequence of dict
        Of the images.
    cards : sequence of str
        What `make_card` has made of each.
    views : sequence of Views or None
        Their pictures.
    summary : mapping
        Of the records.
    """
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    data = {**document(records, summary), "views": [_place(each) for each in views]}
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>evodenoise: {plural(len(records), 'image')}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            '<a class="skip" href="#images">Skip to the images</a>',
            "<h1>Denoised images</h1>",
            f'<p class="summary">{_text(_sum_up(summary))}</p>',
            _tools(),
            '<main id="images" tabindex="-1">',
            *cards,
            "</main>",
            f"<footer>Made by evodenoise {_text(__version__)}. What was taken away should look "
            "like noise; outlines of the image in it are detail that was lost.</footer>",
            # No less-than sign: nothing in it ends the element or begins another one.
            f'<script type="application/json" id="records">{_json(data)}</script>',
            f"<script>{script}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def read_page(text: str) -> Iterator[tuple[Record, Views | None]]:
    """Read back what `make_page` has made.

    Parameters
    ----------
    text : str
        The whole page.

    Yields
    ------
    record : dict
        Of an image.
    views : Views or None
        Its pictures.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the page is another's.
    """
    found = _DATA.search(text)
    if found is None:
        raise ValueError("it holds no records")
    data = json.loads(found[1])
    pictures = (
        View(int(width), int(height), base64.b64decode(code))
        for width, height, code in _IMAGE.findall(text)
    )
    for record, place in zip(data["files"], data["views"], strict=True):
        yield record, None if place is None else _views(pictures, place)


def _views(pictures: Iterator[View], place: Mapping[str, Any]) -> Views:
    """Take the pictures of the next image, in the order in which `make_card` shows them."""
    left, top, width, height = map(float, place["frame"])
    found = dict(zip(NAMES, pictures, strict=False))
    return Views(**found, frame=(left, top, width, height), span=float(place["span"]))


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
            f'<article class="card" data-name="{_text(name)}"{attributes}{doubtful}>',
            f"<header><h2><bdi>{_text(PurePath(name).name)}</bdi></h2>"
            f'<span class="badge {_text(status)}">{_text(status)}</span>'
            f'<p class="paths"><bdi>{_text(place)}</bdi></p></header>',
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
    return f'<p class="error">{_text(reason)}</p>'


def _warnings(warnings: Sequence[str]) -> Iterator[str]:
    if warnings:
        items = "".join(f"<li>{_text(warning)}</li>" for warning in warnings)
        yield f'<ul class="warnings">{items}</ul>'


def _show(views: Views, name: str) -> str:
    """Show the pictures; in the order of `NAMES`, in which they are read back."""
    left, top, width, height = (f"{100 * share:.4g}" for share in views.frame)
    frame = (
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}"/></svg>'
    )
    label = f'aria-label="noisy to denoised: {_text(name)}" aria-valuetext="50 % noisy"'
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
            f"<span>black to white: ±{views.span:.3g}</span></figcaption>{_stack(views.residual)}",
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


def _place(views: Views | None) -> Mapping[str, Any] | None:
    return None if views is None else {"frame": views.frame, "span": views.span}


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


def _sum_up(summary: Mapping[str, Any]) -> str:
    """Say in a line what became of the images."""
    counts = [f"{summary[status]} {status}" for status in Status if summary[status]]
    words = f"{plural(summary['files'], 'image')}: {', '.join(counts)}"
    for column, name, form, unit in (("psnr", "PSNR", ".2f", " dB"), ("ssim", "SSIM", ".4f", "")):
        before, after = summary[f"{column}_noisy"], summary[column]
        if before is not None and after is not None:
            words += f"; mean {name} {before:{form}} \N{RIGHTWARDS ARROW} {after:{form}}{unit}"
    return words


def _tools() -> str:
    """Make the controls, which show once the script runs."""
    buttons = "".join(
        f'<button type="button" aria-pressed="false" data-key="{_camel(column)}" '
        f'data-first="{way}">{name}</button>'
        for column, name, way in SORTS
    )
    return (
        '<div class="tools" role="group" aria-label="Order and selection" hidden>'
        f'<div class="sorts" role="group" aria-label="Sort by">Sort by {buttons}</div>'
        '<label>Find <input type="search" id="search" placeholder="name"></label>'
        '<label><input type="checkbox" id="doubtful"> only warnings and failures</label>'
        '<label>All sliders <input type="range" id="all" min="0" max="100" value="50"></label>'
        '<span id="told" role="status" class="summary"></span></div>'
    )


def _camel(column: str) -> str:
    """Name a column as the script finds it: ``data-noise-std`` is ``noiseStd``."""
    first, *others = column.split("_")
    return first + "".join(map(str.title, others))


def _list(pairs: Iterator[tuple[str, str]], name: str) -> str:
    items = (f"<div><dt>{_text(term)}</dt><dd>{_text(said)}</dd></div>" for term, said in pairs)
    return f'<dl class="{name}">{"".join(items)}</dl>'


def _word(value: Any) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, list):
        return " | ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _text(value: object) -> str:
    """Make text of HTML of anything: file names may be any bytes, and hold any characters."""
    return html.escape(_NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", str(value)), quote=True)


def _json(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, allow_nan=False)
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)


@cache
def _asset(name: str) -> str:
    return files("evodenoise.jobs").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
