"""The page of one score in a real browser: narrow and wide, by keyboard, on paper, in a frame."""

import copy
import math
import re
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from trusting_service import ModelOfOneMind

from service import examples
from service.app import create_app
from service.settings import Settings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
EHR = """
[[issuer]]
issuer = "https://ehr.example"
audience = "readmit"

[[fhir_server]]
url = "https://ehr.example/fhir"
issuer = "https://ehr.example"
"""
MOVES = {
    "admissions_year": 0.84,
    "sodium_latest": 0.41,
    "albumin_latest": 0.2,
    "heart_failure": 0.15,
    "disposition_home": -0.3,
    "age": -0.05,
    "haemoglobin_latest": 0.02,
}


class ModelOfManyReasons(ModelOfOneMind):
    """Stands in for a risk model: names inputs of every sort, and asks for the sodium."""

    def explain(self, row: Sequence[float]) -> Any:
        sodium = row[[one.name for one in self.features].index("sodium_latest")]
        moves = MOVES | {"sodium_latest": 0.0 if math.isnan(sodium) else (140 - sodium) * 0.05}
        contributions = [moves.get(one.name, 0.0) for one in self.features]
        log_odds = -1.9 + sum(contributions)
        return SimpleNamespace(
            probability=1 / (1 + math.exp(-log_odds)),
            log_odds=log_odds,
            baseline=-1.9,
            contributions=contributions,
        )


class Shown(NamedTuple):
    """Where a service listens, and the pages of some scores."""

    address: str
    risk: str
    none: str
    closed: str


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """An app on a free port of this machine."""
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


class Chart(BaseHTTPRequestHandler):
    """An EHR's page that shows another page within it."""

    framed = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f'<iframe src="{self.framed}" width="800"></iframe>'.encode())

    def log_message(self, *_: object) -> None:
        """Nothing: the test's output is not for that."""


@pytest.fixture(scope="module")
def chart() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Chart) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def shown(chart: HTTPServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder: Path = tmp_path_factory.mktemp("service")
    (folder / "issuers.toml").write_text(EHR)
    settings = Settings(
        development=True,
        database=f"sqlite:///{folder / 'readmit.db'}",
        issuers=folder / "issuers.toml",
        frame_ancestors=f"http://localhost:{chart.server_port}",
    )
    model: Any = ModelOfManyReasons()
    with listening(create_app(settings, model)) as address:

        def kept(bundle: dict[str, Any], **parameters: str) -> str:
            answer = httpx.post(f"{address}/v1/score", json=bundle, params=parameters)
            assert answer.status_code == 200, answer.text
            return f"{address}/risk/{answer.json()['score_id']}"

        against_advice = copy.deepcopy(examples.BUNDLE)
        stay = against_advice["entry"][2]["resource"]
        stay["hospitalization"]["dischargeDisposition"]["coding"][0]["code"] = "aadvice"
        none = kept(against_advice)
        # A stay of which nothing is on record gets no risk: give the earlier one a result.
        earlier = copy.deepcopy(examples.BUNDLE)
        result = copy.deepcopy(earlier["entry"][-1]["resource"])
        moment = "2025-12-05T06:00:00Z"
        result |= {"id": "example-earlier-result", "effectiveDateTime": moment, "issued": moment}
        result["encounter"] = {"reference": "Encounter/example-earlier-stay"}
        earlier["entry"].append({"resource": result})
        kept(earlier, encounter_id="example-earlier-stay")
        yield Shown(address, kept(examples.BUNDLE), none, f"{address}/risk/{'0' * 32}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page in a browser of its own, which complains of nothing."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    heard: list[str] = []
    opened.on("console", lambda message: heard.append(message.text))
    opened.on("pageerror", lambda error: heard.append(str(error)))
    yield opened
    context.close()
    # What a browser says of an answer of 404 or 422 is no complaint about the page.
    assert [text for text in heard if "Failed to load resource" not in text] == []


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("which", ["risk", "none", "closed", "refused"])
def test_nothing_sticks_out_and_axe_finds_no_violation(
    page: Any, shown: Shown, which: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    refused = f"{shown.risk}?whatif=sodium_latest&value=1"
    page.goto(refused if which == "refused" else getattr(shown, which))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_the_risk_is_readable_at_arms_length(page: Any, shown: Shown) -> None:
    page.goto(shown.risk)
    figure = page.locator(".figure")
    size = float(figure.evaluate("each => parseFloat(getComputedStyle(each).fontSize)"))
    # 20/40 at 70 cm asks for letters 2 mm high, a heading for four times that: 8 mm are 30 px.
    assert size >= 60
    assert figure.bounding_box()["y"] < 450


def test_every_bar_is_a_link_to_its_entry(page: Any, shown: Shown) -> None:
    page.goto(shown.risk)
    bars = page.locator(".waterfall a:has(svg rect)")
    assert bars.count() == 7
    for number in range(bars.count()):
        bar = bars.nth(number)
        assert bar.locator("rect").bounding_box()["width"] >= 1
        bar.locator("svg").click()
        target = page.locator(bar.get_attribute("href"))
        assert target.count() == 1
        assert target.evaluate("each => each.matches(':target')")


def test_to_a_screen_reader_the_drawings_say_what_they_show(page: Any, shown: Shown) -> None:
    page.goto(shown.risk)
    sodium = page.get_by_role("link", name=re.compile(r"^Sodium 131.*raises the risk"))
    assert sodium.count() == 1
    assert "+0.45 in log-odds" in sodium.inner_text().replace("\n", " ")
    assert page.get_by_role("img", name="Risk at each stay, the earliest first").count() == 1
    described = page.locator(".course").evaluate(
        "each => document.getElementById(each.getAttribute('aria-describedby')).textContent"
    )
    assert re.search(r"\d+ %; \d+ %, this page", described)


def test_the_page_is_walked_by_keyboard_in_its_order_and_focus_is_seen(
    page: Any, shown: Shown
) -> None:
    page.goto(shown.risk)
    heights: list[float] = []
    for _ in range(100):
        page.keyboard.press("Tab")
        at = page.evaluate(
            "(() => { const one = document.activeElement; if (one === document.body) return null;"
            "const style = getComputedStyle(one), box = one.getBoundingClientRect();"
            "return [one.className, style.outlineStyle, parseFloat(style.outlineWidth),"
            "one.closest('.beside, .published') ? 0 : box.top + scrollY]; })()"
        )
        if at is None:
            break
        assert at[1] != "none", at
        assert at[2] >= 2, at
        if at[3]:
            heights.append(at[3])
    # The skip link is first; columns side by side apart, the order is from top to bottom.
    assert heights[1:] == sorted(heights[1:])
    assert len(heights) > 10


def test_without_javascript_a_reader_asks_what_if(chromium: Any, shown: Shown) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(shown.risk)
    page.get_by_label("Another value of").select_option("sodium_latest")
    page.get_by_label("would be").fill("139")
    page.get_by_role("button", name="Ask the model").click()
    assert "#what-if" in page.url
    assert "With sodium 139 mmol/L instead of 131 mmol/L" in page.locator("#answer").inner_text()
    page.get_by_label("would be").fill("1390")
    page.get_by_role("button", name="Ask the model").click()
    assert page.get_by_role("alert").inner_text().startswith("Give a number between 100 and 190")
    context.close()


def test_on_paper_it_is_two_pages_at_most_and_says_where_the_records_are(
    page: Any, shown: Shown
) -> None:
    page.goto(shown.risk)
    paper = page.pdf(prefer_css_page_size=True)
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 2
    page.emulate_media(media="print")
    assert "https://ehr.example/fhir/ followed by their names" in page.locator("main").inner_text()
    assert page.get_by_role("button").count() == 0
    assert page.get_by_text("Skip to the content").is_hidden()


def test_an_ehr_that_is_listed_shows_it_in_a_frame_and_no_other_does(
    page: Any, shown: Shown, chart: HTTPServer
) -> None:
    Chart.framed = shown.risk
    page.goto(f"http://localhost:{chart.server_port}/")
    assert page.frame_locator("iframe").locator(".figure").inner_text().endswith("%")


def test_another_site_that_frames_it_shows_nothing(
    chromium: Any, shown: Shown, chart: HTTPServer
) -> None:
    # The browser says on its console that it refused: that is what is wanted here.
    context = chromium.new_context()
    page = context.new_page()
    refusals: list[str] = []
    page.on("console", lambda message: refusals.append(message.text))
    Chart.framed = shown.risk
    page.goto(f"http://127.0.0.1:{chart.server_port}/")
    assert page.frame_locator("iframe").locator(".figure").count() == 0
    assert any("frame-ancestors" in text for text in refusals)
    context.close()
