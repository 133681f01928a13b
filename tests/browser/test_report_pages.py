"""Report and card in a real browser: nothing is fetched, nothing sticks out, nothing is cut."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from simulated_run import Made

from training.model_card import ModelCardFacts, card_html, model_card
from training.report import read_run, render_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
A4_WITHOUT_MARGINS = 688
"""182 mm in CSS pixels."""
A4_HEIGHT = 1_001


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    run = read_run(Made().write(folder / "run"))
    texts = {"report": render_report(run), "card": card_html(model_card(run, ModelCardFacts()))}
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("name", ["report", "card"])
def test_the_page_fits_the_screen_and_fetches_nothing(browser, pages, name, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(pages[name].as_uri())
    assert heard == [pages[name].as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.parametrize("name", ["report", "card"])
def test_on_paper_nothing_is_wider_than_the_page_and_no_plot_is_higher(browser, pages, name):
    page = browser.new_page(viewport={"width": A4_WITHOUT_MARGINS, "height": A4_HEIGHT})
    page.emulate_media(media="print")
    page.goto(pages[name].as_uri())
    boxes = page.evaluate(
        "[...document.querySelectorAll('table, figure')].map(each => "
        "[each.tagName, each.getBoundingClientRect().right, each.getBoundingClientRect().height])"
    )
    assert [box for box in boxes if box[1] > A4_WITHOUT_MARGINS + 1] == []
    assert [box for box in boxes if box[0] == "FIGURE" and box[2] > A4_HEIGHT] == []
    assert page.locator("nav").is_hidden()
    assert page.pdf(format="A4")[:5] == b"%PDF-"
    page.close()


def test_the_first_thing_a_keyboard_reaches_skips_to_the_content(browser, pages):
    page = browser.new_page()
    page.goto(pages["report"].as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.close()
