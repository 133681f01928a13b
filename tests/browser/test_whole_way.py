"""The whole way of a clinician: ward, chart, discharge, card, app, record, feedback, report.

The demo EHR and the service listen each on a port of this machine, as the demo runs them; all that
the browser and the two say to each other is real. Only the model stands in, so that everybody has a
card.
"""

import math
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from demo_parts import HighRiskModel, demo_running
from each_database import kept_in
from playwright.sync_api import sync_playwright
from typer.testing import CliRunner

from service.cli import app
from training.simulated_hospital import simulate

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
EACH = 11
"""Cards of each outcome: fewer are held back by the report."""
MOVES = {"haemoglobin_latest": 0.5, "age": 0.3, "admissions_year": -0.1}


class ModelThatAsks(HighRiskModel):
    """Stands in: names reasons of several sorts, and goes by the sodium that it is given."""

    def explain(self, row: Sequence[float]) -> Any:
        sodium = row[[one.name for one in self.features].index("sodium_latest")]
        moves = MOVES | {"sodium_latest": 0.0 if math.isnan(sodium) else (140 - sodium) * 0.1}
        contributions = [moves.get(one.name, 0.0) for one in self.features]
        log_odds = -1.5 + sum(contributions)
        return SimpleNamespace(
            probability=1 / (1 + math.exp(-log_odds)),
            log_odds=log_odds,
            baseline=-1.5,
            contributions=contributions,
        )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder: Path = tmp_path_factory.mktemp("whole_way")
    simulate(folder / "records", 600, 7)
    with demo_running(folder, folder / "records", model=ModelThatAsks()) as parts:
        yield parts


@pytest.fixture
def page(demo: Any) -> Iterator[Any]:
    """A page of a browser that complains of nothing and asks nobody but the two."""
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        own = (f"{demo.plan.ehr}/", f"{demo.plan.service}/", "data:")
        context.on("request", lambda asked: complaints.extend(_strange(asked.url, own)))
        context.on("console", lambda said: complaints.extend(_error(said)))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        yield context.new_page()
        browser.close()
    assert complaints == []


def _strange(url: str, own: tuple[str, ...]) -> list[str]:
    return [] if url.startswith(own) else [f"asked: {url}"]


def _error(said: Any) -> list[str]:
    return [said.text] if said.type in ("error", "warning") else []


def assert_readable(page_or_frame: Any) -> None:
    found = Axe().run(page_or_frame)
    assert found.violations_count == 0, found.generate_report()


def until_shown(page: Any, address: str, selector: str) -> str:
    """What a selector shows once something is there: what is written back takes a moment."""
    for _ in range(150):
        page.goto(address)
        if page.locator(selector).count():
            return str(page.locator(selector).first.inner_text())
        time.sleep(0.2)
    raise AssertionError(f"{selector} never came")


def test_from_the_ward_to_the_report(
    demo: Any, page: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ehr, service = demo.plan.ehr, demo.plan.service

    # The ward, a chart, the discharge with its card.
    page.goto(f"{ehr}/")
    page.locator(".who a").first.click()
    chart = page.url
    page.get_by_role("link", name="Discharge", exact=True).click()
    assert "Readmission risk" in page.locator(".card h3").inner_text()
    page.get_by_role("button", name="Confirm the discharge").click()

    # What the service wrote back on the event of the discharge.
    assert "High risk" in until_shown(page, f"{chart}?opened=yes", ".flag")
    assert "Risk assessment" in page.inner_text("main")

    # The card's app, in the chart.
    page.locator(".card a.button").click()
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name="Risk of unplanned readmission").wait_for()
    framed = page.frames[1]
    assert framed.url.startswith(f"{service}/risk/")
    assert_readable(framed)

    # From a bar to its reason, from the reason to the record in the EHR.
    frame.locator("a.step").first.click()
    record = frame.locator("a[href*='/fhir/']").first
    with page.context.expect_page() as opened:
        record.click()
    opened.value.wait_for_load_state()
    assert opened.value.url.startswith(f"{ehr}/records/")
    assert opened.value.locator(".patient").count() == 1
    assert_readable(opened.value)

    # What if, and back.
    frame.get_by_label("Another value of").select_option("sodium_latest")
    frame.get_by_label("would be").fill("125")
    frame.get_by_role("button", name="Ask the model").click()
    frame.get_by_text("With sodium 125 mmol/L").wait_for()

    # The same, in a tab of its own.
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open in a new tab").click()
    opened.value.get_by_role("heading", name="Risk of unplanned readmission").wait_for()
    assert opened.value.url.startswith(f"{service}/risk/")

    # A suggestion is taken; the card of somebody else is put aside.
    page.get_by_role("link", name="Back to the chart").click()
    page.get_by_role("button", name="Take: ").first.click()
    assert "The readmit service knows" in page.inner_text("#advice ~ p")
    page.goto(f"{ehr}/?show=left")
    others = [one.get_attribute("href") for one in page.locator(".who a").all()]
    others = [one for one in others if not chart.endswith(one)]
    aside = next(one for one in others if _has_card(page, f"{ehr}{one}"))
    page.get_by_text("Put this card aside").click()
    page.get_by_label("Why").select_option(index=1)
    page.get_by_role("button", name="Put aside").click()
    assert page.get_by_text("Put aside, with the reason given. The readmit service knows.").count()

    # Other clinicians do as much, without a browser; then the report tells of both.
    done = {"accepted": 1, "overridden": 1}
    for stay in demo.ehr.store.records.recent:
        address = f"{ehr}/patients/{stay.patient}"
        if chart.endswith(stay.patient) or aside.endswith(stay.patient):
            continue
        httpx.get(address, timeout=30)
        card = next((c for c in demo.ehr.cards.values() if c.patient == stay.patient), None)
        outcome = min(done, key=lambda one: done[one])
        if card is not None and done[outcome] < EACH:
            assert _report(ehr, card, outcome) == 303
            done[outcome] += 1
    assert done == {"accepted": EACH, "overridden": EACH}
    for name, value in kept_in(demo.folder).items():
        monkeypatch.setenv(f"READMIT_{name.upper()}", str(value))
    # As the demo's service runs: its keys lie beside its database.
    monkeypatch.setenv("READMIT_DEVELOPMENT", "true")
    monkeypatch.setenv("COLUMNS", "160")
    told = CliRunner().invoke(app, ["feedback", "--store", str(tmp_path / "none")])
    assert told.exit_code == 0, told.output
    (high,) = [one for one in told.output.splitlines() if "high" in one.split()]
    assert high.count("11 to 21") == 2, told.output


def _has_card(page: Any, address: str) -> bool:
    page.goto(address)
    return bool(page.locator(".card").count())


def _report(ehr: str, card: Any, outcome: str) -> int:
    """Do with a card what a clinician does, by the EHR's own forms."""
    if outcome == "accepted":
        path, form = "accept", {"suggestion": card.card["suggestions"][0]["uuid"]}
    else:
        path, form = "override", {"reason": card.card["overrideReasons"][0]["code"]}
    return httpx.post(f"{ehr}/cards/{card.uuid}/{path}", data=form, timeout=30).status_code


def test_the_frame_of_an_ehr_is_never_left_blank(demo: Any, page: Any) -> None:
    page.goto(f"{demo.plan.ehr}/patients/{demo.ehr.store.records.recent[0].patient}/app")
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name="Risk of unplanned readmission").wait_for()
    with page.context.expect_page() as opened:
        frame.get_by_role("link", name="readmit", exact=True).click()
    opened.value.wait_for_load_state()
    assert opened.value.url == f"{demo.plan.service}/"
    frame.get_by_role("button", name="Sign out").click()
    frame.get_by_role("heading", name="You are signed out").wait_for()
    assert_readable(page.frames[1])
