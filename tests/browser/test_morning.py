"""A care manager's morning in a real browser: by mouse, by keyboard, and without JavaScript."""

import csv
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from browsing import service, settings_for
from listed_patients import stay_of
from morning import a_run, a_ward
from openid_provider import OpenIDProvider, openid_provider
from playwright.sync_api import sync_playwright

from service.database import follow_ups

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]


class Clinic(NamedTuple):
    """The service with a ward's list, and who may sign in."""

    address: str
    app: Any
    provider: OpenIDProvider

    def signed_in(self, context: Any, subject: str, path: str = "/work-list") -> Any:
        """A page of somebody, after they signed in."""
        self.provider.person = {
            "sub": subject,
            "name": f"Example {subject}",
            "groups": ["care"],
            "units": ["Cardiology", "Pneumology"],
        }
        page = context.new_page()
        page.goto(f"{self.address}/sign-in?return_to={path}")
        return page

    def worked(self, patient: str) -> Any:
        keeping = self.app.state.serving.keeping
        with keeping.database.reading() as connection:
            return follow_ups.of_stay(connection, stay_of(keeping, patient))


@contextmanager
def listening(app: Any) -> Iterator[str]:
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, proxy_headers=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    with openid_provider() as provider:
        app = service(settings_for(tmp_path, provider))
        with listening(app) as address:
            a_ward(app.state.serving.keeping, 30)
            a_run(app.state.serving.keeping)
            yield Clinic(address, app, provider)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("scripts", [True, False])
def test_the_morning(chromium: Any, clinic: Clinic, scripts: bool) -> None:
    context = chromium.new_context(
        viewport={"width": 1280, "height": 900}, java_script_enabled=scripts
    )
    page = clinic.signed_in(context, "m.example")
    page.get_by_text("Filter and sort").click()
    page.get_by_role("group", name="Band").get_by_label("high").check()
    page.get_by_role("group", name="Unit").get_by_label("Cardiology").check()
    page.get_by_role("button", name="Show these").click()
    assert "band: high; unit: Cardiology" in page.locator(".totals").inner_text()

    page.get_by_text("Save this, or delete").click()
    page.get_by_label("Name, without a patient's").fill("My mornings")
    page.get_by_role("button", name="Save this filter").click()
    assert page.get_by_role("status").inner_text() == "Saved."
    page.goto(f"{clinic.address}/work-list")
    page.get_by_role("link", name="My mornings").click()
    assert page.get_by_role("row").count() == 11

    risk = page.get_by_role("link", name="example-000", exact=True).get_attribute("href")
    assert risk.startswith("/risk/")

    page.get_by_role("link", name="Follow up example-000").click()
    page.get_by_label("Status").select_option("contacted")
    page.get_by_label("Note", exact=True).fill("Reached her.")
    page.get_by_label("Assigned to").select_option("me")
    page.get_by_role("button", name="Save and stay here").click()
    page.get_by_label("Status").select_option("visit_booked")
    page.get_by_label("Due").fill("2030-03-13")
    page.get_by_role("button", name="Save and back to the list").click()
    assert "unit=Cardiology&band=high" in page.url
    assert "visit booked" in page.get_by_role("row", name="example-000").inner_text()

    other = chromium.new_context(java_script_enabled=scripts)
    page.get_by_role("link", name="Follow up example-000").click()
    theirs = clinic.signed_in(other, "n.example")
    theirs.get_by_role("link", name="Follow up example-000").click()
    theirs.get_by_label("Note", exact=True).fill("Her daughter rang.")
    theirs.get_by_role("button", name="Save and stay here").click()

    page.get_by_text("Somebody who is not in the choices").click()
    page.get_by_label("Their name at the issuer").fill(f"{clinic.provider.issuer}|n.example")
    page.get_by_label("Note", exact=True).fill("Yours now: the visit is on Friday.")
    page.get_by_role("button", name="Save and stay here").click()
    assert "n.example" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("Note", exact=True).input_value().startswith("Yours now")
    assert "Her daughter rang." in page.locator(".history").inner_text()
    page.get_by_role("button", name="Save and stay here").click()
    assert clinic.worked("example-000").assigned_to.endswith("|n.example")

    page.get_by_role("link", name="Back to the list").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="The list as a table").click()
    with Path(download.value.path()).open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    assert rows[0]["patient"] == "example-000"
    assert {row["band"] for row in rows} == {"high"}

    page.emulate_media(media="print")
    assert page.get_by_role("button").count() == 0
    assert "Printed by Example m.example" in page.locator("main").inner_text()
    assert "As of 2" in page.locator("main").inner_text()
    context.close()
    other.close()


def tab_to(page: Any, reached: str) -> None:
    """Press Tab until what has the focus is what a script says; each stop must be seen."""
    for _ in range(120):
        page.keyboard.press("Tab")
        found, seen = page.evaluate(
            "reached => { const one = document.activeElement, style = getComputedStyle(one);"
            "return [one.matches(reached), style.outlineStyle !== 'none']; }",
            reached,
        )
        assert seen
        if found:
            return
    raise AssertionError(f"no way by keyboard to {reached}")


def test_the_morning_by_keyboard_alone(chromium: Any, clinic: Clinic) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = clinic.signed_in(context, "m.example")
    keys = page.keyboard
    tab_to(page, ".skip")
    keys.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    tab_to(page, "summary")
    keys.press("Enter")
    tab_to(page, "[name=band][value=high]")
    keys.press("Space")
    with page.expect_navigation():
        keys.press("Enter")
    assert "band: high" in page.locator(".totals").inner_text()
    tab_to(page, "[name=calls]")
    keys.type("5")
    with page.expect_navigation():
        keys.press("Enter")
    assert page.get_by_role("heading", level=1).inner_text() == "Whom to call"
    tab_to(page, ".patients .work a")
    with page.expect_navigation():
        keys.press("Enter")
    tab_to(page, "#status")
    keys.type("contacted")
    tab_to(page, "#note")
    keys.type("Reached her.")
    tab_to(page, "#assigned")
    keys.type("me")
    tab_to(page, "button[value=list]")
    with page.expect_navigation():
        keys.press("Enter")
    now = clinic.worked("example-000")
    assert (now.status, now.assigned_to.rpartition("|")[2]) == ("contacted", "m.example")
    context.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_sticks_out_and_axe_finds_no_violation(
    chromium: Any, clinic: Clinic, width: int
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900})
    page = clinic.signed_in(context, "m.example")
    stay = stay_of(clinic.app.state.serving.keeping, "example-000")

    def holds() -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()

    for path in ("/work-list", "/work-list?calls=20", "/work-list?unit=none"):
        page.goto(clinic.address + path)
        holds()
        for folded in page.locator("summary").all():
            if folded.is_visible():
                folded.click()
        holds()
    page.goto(f"{clinic.address}/follow-up/{stay}")
    holds()
    # As if somebody else had been first.
    page.get_by_label("Note", exact=True).fill("Rang.")
    page.get_by_role("button", name="Save and stay here").click()
    holds()
    page.locator("[name=version]").evaluate("one => { one.value = '0'; }")
    page.get_by_label("Note", exact=True).fill("Rang again.")
    page.get_by_role("button", name="Save and stay here").click()
    assert page.get_by_role("alert").is_visible()
    holds()
    context.close()


def test_the_list_is_printed_across_and_fits(chromium: Any, clinic: Clinic) -> None:
    context = chromium.new_context()
    page = clinic.signed_in(context, "m.example")
    paper = page.pdf(prefer_css_page_size=True)
    # A4 across, in points.
    assert b"841." in paper
    assert b"595" in paper
    page.set_viewport_size({"width": 1047, "height": 700})
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1047
    context.close()
