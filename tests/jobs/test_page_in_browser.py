"""The page of a run in a browser: its sliders move, it sorts, and it lets nothing of a name run."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, find_browser

from evodenoise.evaluation.views import draw_views
from evodenoise.jobs.job import Job, RunSettings
from evodenoise.jobs.ledger import Ledger
from evodenoise.jobs.records import Status, bare_record

if find_browser() is None:
    pytest.skip("needs a browser: apt-get install chromium", allow_module_level=True)
if sys.platform == "win32":
    pytest.skip("speaks to the browser through files 3 and 4", allow_module_level=True)

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '"><script>document.title = "taken"</script>',
    "</script><script>document.title = 'taken'</script>",
    "' autofocus onfocus='alert(1)",
)
TAB, LEFT, END = ("Tab", 9), ("ArrowLeft", 37), ("End", 35)
SHOWN = "[...document.querySelectorAll('.card')].filter(card => !card.hidden)"


def make_report(path: Path, count: int, names: tuple[str, ...] = ()) -> None:
    """Write a page of images a0, a1, ..., whose noise falls, and of images of given names."""
    settings, rng = RunSettings(), np.random.default_rng(0)
    ledger, jobs = Ledger(settings, [path]), []
    for number, name in enumerate((*(f"a{number}" for number in range(count)), *names)):
        job = Job(Path(f"{name}.png"), Path("out", f"{number}.png"), Path(f"{name}.png"))
        known = {
            "noise_std": float(1000 - number),
            "wall_seconds": float(number % 7),
            "psnr": float(number % 10) if number % 2 else None,
            "warnings": [name] * (name in names),
        }
        noisy = rng.uniform(0, 255, (30, 45)).astype(np.uint8)
        views = draw_views(noisy, noisy // 2)
        record = bare_record(job, settings, Status.DONE)
        ledger.ready(job, {**record, **known}, views)
        jobs.append(job)
    ledger.finish(jobs)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "r.html"
    make_report(path, 12, HOSTILE)
    return path


def names(browser: Browser) -> list[str]:
    found = browser.run(f"{SHOWN}.map(card => card.querySelector('h2').textContent)")
    return [name.removesuffix(".png") for name in found]


def press(browser: Browser, button: str) -> list[str]:
    """Sort by something, and return the names in their new order."""
    browser.run(f"document.querySelector('button[data-key={button}]').click()")
    return names(browser)


def split(browser: Browser, number: int = 0) -> str:
    """Tell where the slider of an image is, by what is seen of the noisy one."""
    before = f"document.querySelectorAll('.card')[{number}].querySelector('.before')"
    return str(browser.run(f"getComputedStyle({before}).clipPath"))


def test_nothing_of_a_name_runs_and_nothing_is_loaded(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.run("document.title") == "evodenoise: 16 images"
    assert set(HOSTILE[:1]) < set(names(browser))
    assert browser.run("document.querySelectorAll('main script, main [onerror]').length") == 0
    assert browser.complaints() == []
    outside = [each for each in browser.requests() if not each.startswith("data:image/jpeg;")]
    assert outside == [page.as_uri()]


def test_the_policy_stops_what_would_run(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run(
        "new Promise(done => { const s = document.createElement('script');"
        "s.textContent = 'document.title = 1'; document.body.append(s);"
        "const i = new Image(); i.onload = i.onerror = () => done(1);"
        "i.src = 'http://127.0.0.1:9/x.png'; })"
    )
    assert browser.run("document.title") == "evodenoise: 16 images"
    assert sum("Content Security Policy" in each for each in browser.complaints()) == 2


def test_the_slider_moves_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert split(browser) == "inset(0px 50% 0px 0px)"
    browser.run("document.querySelector('.card input').focus()")
    browser.press(*LEFT)
    assert split(browser) == "inset(0px 51% 0px 0px)"
    browser.press(*END)
    assert split(browser) == "inset(0px 0% 0px 0px)"
    assert split(browser, 1) == "inset(0px 50% 0px 0px)"
    sliders = "[...document.querySelectorAll('.card')[0].querySelectorAll('input')]"
    assert browser.run(f"{sliders}.map(each => each.value)") == ["100", "100"]
    assert browser.run(f"{sliders}[0].getAttribute('aria-valuetext')") == "100 % noisy"


def test_the_slider_moves_by_mouse_wherever_it_is_taken(browser: Browser, page: Path) -> None:
    browser.open(page)
    box = "document.querySelectorAll('.card .stack')[1].getBoundingClientRect()"
    left, top, width, height = browser.run(f"(b => [b.x, b.y, b.width, b.height])({box})")
    browser.drag((left + width / 2, top + height / 3), (left + width / 4, top + height / 2))
    assert browser.run("document.querySelector('.card input').value") == "25"
    browser.drag((left + width * 0.8, top + 9), (left + width * 0.8, top + 9))
    assert browser.run("document.querySelector('.card input').value") == "80"


def test_the_keyboard_reaches_all(browser: Browser, page: Path) -> None:
    browser.open(page)
    seen = []
    for _ in range(11):
        browser.press(*TAB)
        seen.append(browser.run("document.activeElement.type ?? document.activeElement.tagName"))
    assert seen[:5] == ["", *["button"] * 4]
    assert seen[5:] == ["search", "checkbox", "range", "range", "SUMMARY", "range"]


def test_all_sliders_move_at_once(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("document.querySelector('#all').focus()")
    browser.press(*END)
    assert {split(browser, number) for number in (0, 7, 15)} == {"inset(0px 0% 0px 0px)"}


def test_sorting_and_sorting_back(browser: Browser, page: Path) -> None:
    browser.open(page)
    given = names(browser)
    falling = press(browser, "noiseStd")
    assert falling == given
    assert press(browser, "noiseStd") == given[::-1]
    by_name = [name for name in press(browser, "name") if name.startswith("a")]
    assert by_name == [f"a{number}" for number in range(12)]  # a10 after a9
    state = "document.querySelector('button[data-key=name]').getAttribute('aria-pressed')"
    assert browser.run(state) == "true"
    assert browser.run("document.querySelector('#told').textContent") == "sorted by name, rising"


def test_what_is_not_known_comes_last_both_ways(browser: Browser, page: Path) -> None:
    browser.open(page)
    rising = press(browser, "psnr")
    falling = press(browser, "psnr")
    assert (rising[0], falling[0]) == ("a1", "a9")
    unknown = {name for name in rising[8:] if name.startswith("a")}
    assert unknown == {"a0", "a2", "a4", "a6", "a8", "a10"}
    assert set(falling[8:]) == set(rising[8:])


def test_some_of_them(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("document.querySelector('#doubtful').click()")
    assert sorted(names(browser)) == sorted(name.rpartition("/")[2] for name in HOSTILE)
    browser.run("document.querySelector('#doubtful').click()")
    browser.run("document.querySelector('#search').focus()")
    browser.press("1", ord("1"))
    browser.ask("Input.insertText", text="a1")
    assert set(names(browser)) == {"a1", "a10", "a11"}
    assert browser.run("document.querySelector('#told').textContent") == "3 of 16 shown"


def test_dark_and_light(browser: Browser, page: Path, tmp_path: Path) -> None:
    browser.open(page)
    paper = "getComputedStyle(document.body).backgroundColor"
    shades = []
    for dark in (False, True):
        browser.look(tmp_path / "seen.png", width=800, height=600, dark=dark)
        shades.append(browser.run(paper))
    assert shades == ["rgb(244, 245, 247)", "rgb(17, 20, 24)"]


@pytest.mark.parametrize("width", [320, 700, 1400])
def test_nothing_sticks_out_sideways(
    browser: Browser, page: Path, tmp_path: Path, width: int
) -> None:
    browser.open(page)
    browser.look(tmp_path / "seen.png", width=width, height=600, dark=False)
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_of_many_images_only_those_that_are_seen_are_loaded(
    browser: Browser, tmp_path: Path
) -> None:
    make_report(tmp_path / "many.html", 200)
    browser.open(tmp_path / "many.html")
    assert browser.run("document.images.length") == 1000
    assert 0 < browser.run("[...document.images].filter(each => each.complete).length") < 600
    assert press(browser, "noiseStd")[0] == "a0"
    assert press(browser, "noiseStd")[0] == "a199"
    assert browser.complaints() == []
