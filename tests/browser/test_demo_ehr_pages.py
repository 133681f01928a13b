"""The demo EHR in a real browser: read by a screen reader, on a phone, and clicked through."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from demo_parts import demo_running
from playwright.sync_api import sync_playwright

from training.simulated_hospital import simulate

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
WIDTHS = (1280, 360)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder: Path = tmp_path_factory.mktemp("browser")
    simulate(folder / "records", 600, 7)
    with demo_running(folder, folder / "records") as parts:
        yield parts


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest) -> Iterator[Any]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": request.param, "height": 900})
        browser.close()


def with_card(demo: Any, page: Any) -> Any:
    """Open charts until one shows a card that nothing was done with; its patient's stay."""
    for stay in demo.ehr.store.records.recent:
        page.goto(f"{demo.plan.ehr}/patients/{stay.patient}")
        if page.locator(".card").count() and not page.get_by_text("readmit service knows").count():
            return stay
    raise AssertionError("no card")


def assert_readable(page: Any) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    across = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(across), "nothing is cut off to the right"


def test_every_page_is_readable_for_all(demo, page):
    stay = with_card(demo, page)
    for summary in page.locator("summary").all():
        summary.click()
    assert_readable(page)
    going_on = next(one for one in demo.ehr.store.records.recent if one.end is None)
    for path in (
        "/",
        "/?show=left",
        f"/patients/{going_on.patient}/discharge/{going_on.encounter}",
        f"/patients/{stay.patient}/app",
        "/tasks",
        "/events",
        "/patients/nobody",
    ):
        page.goto(demo.plan.ehr + path)
        # What is in the frame is the service's; its own tests look at it.
        page.evaluate("document.querySelectorAll('iframe').forEach(one => one.remove())")
        assert_readable(page)
    page.goto(f"{demo.plan.service}/sign-in")
    assert "Who do you want to be?" in page.inner_text("h1")
    assert_readable(page)


def test_a_suggestion_is_taken_and_a_card_is_put_aside(demo, page):
    with_card(demo, page)
    page.get_by_role("button", name="Take: Flag the chart").click()
    assert "High risk of unplanned readmission" in page.locator(".flag").inner_text()
    assert page.get_by_text("Taken: Flag the chart").count() == 1
    page.get_by_text("Put this card aside").click()
    page.get_by_label("Why").select_option(label="There is no capacity for it")
    page.get_by_role("button", name="Put aside").click()
    assert page.locator(".card").count() == 0
    assert page.get_by_text("Put aside, with the reason given. The readmit service knows.").count()


def test_somebody_chooses_a_person_and_is_signed_in(demo, page):
    page.goto(f"{demo.plan.service}/sign-in")
    page.get_by_label("Aldo Mockaudit").check()
    page.get_by_role("button", name="Go on to readmit").click()
    page.wait_for_url(f"{demo.plan.service}/**")
    assert "Aldo Mockaudit" in page.inner_text(".person")
