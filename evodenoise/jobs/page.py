"""A page of all images of a run, in one HTML file that needs nothing else.

Names of files and words of metadata are anybody's: they enter as text only, and the page's policy
lets nothing run or load but the one style sheet and the one script that are of ours.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from evodenoise import __version__
from evodenoise.errors import plural
from evodenoise.evaluation.views import NAMES, View, Views
from evodenoise.jobs.card import SORTS, as_text, read_pictures
from evodenoise.jobs.records import Record, Status, document

_DATA = re.compile(r'<script type="application/json" id="records">(.*?)</script>', re.DOTALL)


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
            f'<p class="summary">{as_text(_sum_up(summary))}</p>',
            _tools(),
            '<main id="images" tabindex="-1">',
            *cards,
            "</main>",
            f"<footer>Made by evodenoise {as_text(__version__)}. What was taken away should look "
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
    pictures = read_pictures(text)
    for record, place in zip(data["files"], data["views"], strict=True):
        yield record, None if place is None else _views(pictures, place)


def _views(pictures: Iterator[View], place: Mapping[str, Any]) -> Views:
    """Take the pictures of the next image, in the order in which `make_card` shows them."""
    left, top, width, height = map(float, place["frame"])
    found = dict(zip(NAMES, pictures, strict=False))
    return Views(**found, frame=(left, top, width, height), span=float(place["span"]))


def _place(views: Views | None) -> Mapping[str, Any] | None:
    return None if views is None else {"frame": views.frame, "span": views.span}


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


def _json(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, allow_nan=False)
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)


@cache
def _asset(name: str) -> str:
    return files("evodenoise.jobs").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
