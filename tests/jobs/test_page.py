"""The page of a run needs nothing else, and takes no name and no word for more than text."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evodenoise.evaluation.views import Views, draw_views
from evodenoise.jobs.card import SORTS, make_card
from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.page import make_page, read_page
from evodenoise.jobs.records import Status, bare_record, summarise

HOSTILE = (
    "<img src=x onerror=alert(1)>.png",
    "</script><script>alert(1)</script>.png",
    '" onmouseover="alert(1)" x=".png',
    "' autofocus onfocus='alert(1).png",
    "<!--<script>.png",
    "]]>&lt;b&gt;&amp;.png",
    "javascript:alert(1).png",
    "a\udcff\x1b[31m\u202egnp.png",
)


def record(name: str = "a.png", status: Status = Status.DONE, **known: Any) -> dict[str, Any]:
    job = Job(Path(name), Path("out", Path(name).name), Path(name))
    return {**bare_record(job, RunSettings(), status), **known}


def draw(seed: int = 0) -> Views:
    noisy = np.random.default_rng(seed).uniform(0, 255, (30, 40, 3)).astype(np.uint8)
    return draw_views(noisy, noisy // 2)


def page(records: list[dict[str, Any]], views: list[Views | None] | None = None) -> str:
    views = [draw(seed) for seed in range(len(records))] if views is None else views
    cards = [make_card(*pair) for pair in zip(records, views, strict=True)]
    return make_page(records, cards, views, summarise(records))


class Reader(HTMLParser):
    """Collects the elements of a page, with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def hostile_page() -> str:
    return page(
        [
            record(
                name, Status.FAILED, error=f"{name}: <b>{name}", warnings=[name, "<svg onload=x>"]
            )
            for name in HOSTILE
        ]
    )


def test_names_and_words_are_nothing_but_text() -> None:
    found = Reader(hostile_page())
    harmless = Reader(page([record(f"{k}.png", Status.FAILED, error="no", warnings=["a", "b"])
                            for k in range(len(HOSTILE))]))  # fmt: skip
    shapes = [(tag, sorted(attributes)) for tag, attributes in found.elements]
    assert shapes == [(tag, sorted(attributes)) for tag, attributes in harmless.elements]
    shown = "".join(found.text)
    for name in HOSTILE[:-1]:
        assert shown.count(name.rpartition("/")[2]) >= 2
    assert "\x1b" not in shown
    assert {each["data-name"] for each in found.every("article")} >= set(HOSTILE[:-1])


def test_hostile_names_are_read_back_as_they_were() -> None:
    assert [each["input"] for each, _ in read_page(hostile_page())] == list(HOSTILE)


def test_the_data_cannot_end_its_element() -> None:
    found = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', hostile_page(), re.S)
    assert found is not None
    assert not set("<>&") & set(found[1])
    assert len(json.loads(found[1])["files"]) == len(HOSTILE)


def test_the_page_needs_nothing_else() -> None:
    text = hostile_page()
    found = Reader(text)
    assert "://" not in text.replace(str(list(HOSTILE)), "")
    assert not {"link", "iframe", "object", "embed", "form", "base"} & {
        n for n, _ in found.elements
    }
    addresses = [each[name] or "" for _, each in found.elements for name in ("src", "href")
                 if name in each]  # fmt: skip
    assert all(each.startswith(("data:image/jpeg;base64,", "#")) for each in addresses)
    assert not any(name.startswith("on") or name == "style"
                   for _, each in found.elements for name in each)  # fmt: skip


def test_the_policy_lets_only_our_style_and_script_in() -> None:
    text = hostile_page()
    (policy,) = (each["content"] or "" for each in Reader(text).every("meta")
                 if each.get("http-equiv") == "Content-Security-Policy")  # fmt: skip
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_records_and_pictures_are_read_back() -> None:
    records = [
        record("a.png", noise_std=24.5, psnr=30.125, ssim=0.5, warnings=["one"]),
        record("b.png", Status.FAILED, error="it is broken"),
        record("c.png", noise_std=0.1 + 0.2),
    ]
    views = [draw(1), None, draw(2)]
    text = page(records, views)
    assert list(read_page(text)) == list(zip(records, views, strict=True))


@pytest.mark.parametrize("text", ["", "<html></html>", page([record()]).replace('"views"', '"x"')])
def test_what_is_no_page_of_ours(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        list(read_page(text))


def test_pictures_that_are_not_there() -> None:
    text = page([record()])
    with pytest.raises(TypeError):
        list(read_page(re.sub("<img [^>]*>", "", text)))


def test_cards_say_what_they_are_sorted_by() -> None:
    found = Reader(page([
        record("b.png", noise_std=24.5, wall_seconds=3.0, cpu_seconds=2.0, psnr=30.25, ssim=0.5),
        record("a.png", Status.PENDING),
    ]))  # fmt: skip
    first, second = found.every("article")
    assert first["data-name"] == "b.png"
    shown = ("data-noise-std", "data-wall-seconds", "data-psnr")
    assert [first[name] for name in shown] == ["24.5", "3.0", "30.25"]
    assert not set(shown) & set(second)
    buttons = found.every("button")
    assert [each["data-key"] for each in buttons] == ["name", "noiseStd", "wallSeconds", "psnr"]
    assert len(SORTS) == len(buttons)
    assert {each["aria-pressed"] for each in buttons} == {"false"}


def test_what_a_card_shows() -> None:
    card = make_card(
        record(
            "deep/b.png", noise_std=24.53, noise_uncertainty=0.31, noise_source="estimated",
            noise_kind="photon", psnr_noisy=20.3, psnr=30.25, ssim_noisy=0.31, ssim=0.9,
            wall_seconds=3.25, cpu_seconds=2.0, width=40, height=30, channels=3, pages=2,
            dtype="uint8", preset="fast", epochs=12, impulses=3, missing_share=0.25,
            clipped="keep", warnings=["the noise is odd"],
        ),
        draw(),
    )  # fmt: skip
    text = " ".join(Reader(card).text)
    for words in (
        "24.53 ± 0.31 (estimated, photon)", "20.30 → 30.25 dB", "0.3100 → 0.9000", "3.2 (CPU 2.0)",
        "2 pages, 40 x 30 x 3, uint8", "fast, 12 epochs", "25 %", "kept", "the noise is odd",
        "deep/b.png → out/b.png",
    ):  # fmt: skip
        assert words in text
    sliders = [each for each in Reader(card).every("input") if each["type"] == "range"]
    assert len(sliders) == 2
    assert [each.get("tabindex") for each in sliders] == [None, "-1"]
    assert all(each["loading"] == "lazy" for each in Reader(card).every("img"))


def test_a_perfect_result_has_no_number() -> None:
    card = make_card(record(psnr_noisy=20.0, psnr=None, ssim_noisy=0.5, ssim=1.0), None)
    assert "20.00 → inf dB" in card


def test_an_empty_page_is_one_too() -> None:
    assert list(read_page(page([]))) == []
