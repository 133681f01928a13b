"""The month, planning and the public card in a real browser: nothing sticks out, axe is content."""

import shutil
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from browsing import service
from counted_months import counted_month, unit_month
from listed_patients import listed, put_on_the_list
from playwright.sync_api import sync_playwright
from trusting_service import ModelOfOneMind

from fhir_mappings.events import DAY
from fhir_mappings.records.instants import from_datetime
from service.database import months, scoring_runs
from service.database.scoring_runs import Row
from service.keeping import Keeping
from service.settings import Settings
from training.risk_model import Interval

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
UNITS = ("Cardiology", "Neurology", "Ward 7, General Medicine and Infectious Diseases")
PAGES = ("/month", "/planning", "/model-card")


def fill(keeping: Keeping) -> None:
    now = from_datetime(datetime.now(UTC))
    with keeping.database.writing() as connection:
        months.put(connection, counted_month("2026-02"))
        months.put(connection, counted_month("2026-03", [unit_month(unit) for unit in UNITS]))
        run = Row(id="1" * 32, as_of=now, model="m", version="1", began_at=now, ended_at=now)
        scoring_runs.begin(connection, run)
        scoring_runs.advance(connection, run.id, reached=0, counts="{}", ended_at=now)
    rows = [
        listed(keeping, f"{unit}-{number}", unit=unit, discharged_at=now - number * DAY // 4)
        for place, unit in enumerate(UNITS)
        for number in range(20 + 30 * place)
    ]
    put_on_the_list(keeping, rows)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    model = ModelOfOneMind()
    model.reference.test = {
        "auroc": Interval(0.72, 0.7, 0.74),
        "calibration_slope": Interval(0.98, 0.9, 1.05),
        "ppv": Interval(0.31, 0.28, 0.34),
        "sensitivity": Interval(0.44, 0.4, 0.48),
    }
    model.reference.baselines = {"lace": {"auroc": Interval(0.66, 0.64, 0.68)}}
    database = f"sqlite:///{tmp_path_factory.mktemp('service') / 'readmit.db'}"
    app = service(Settings(development=True, database=database), model)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, proxy_headers=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    fill(app.state.serving.keeping)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_sticks_out_and_axe_finds_no_violation(
    chromium: Any, address: str, path: str, width: int
) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 900})
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.goto(address + path)
    assert heard == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # axe is put into the page from outside, past its policy.
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    page.close()


def test_another_month_and_more_weeks_are_chosen_by_keyboard_alone(
    chromium: Any, address: str
) -> None:
    page = chromium.new_page()
    for path, label, key, shown in (
        ("/month", "Month", "ArrowDown", "month=2026-02"),
        ("/planning", "Weeks ahead", "ArrowDown", "weeks=8"),
    ):
        page.goto(address + path)
        page.get_by_label(label, exact=True).focus()
        page.keyboard.press(key)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{path}?{shown}")
    page.close()
