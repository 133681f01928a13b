"""A person signs in with a real browser at a real issuer, reads the start page, and signs out."""

import shutil
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from browsing import service, settings_for
from openid_provider import OpenIDProvider, openid_provider
from playwright.sync_api import sync_playwright
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.settings import Settings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""The strictest policy that the pages must work under."""


class Strict:
    """Puts the policy on every answer, so that the browser holds the pages to it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = POLICY
            await send(message)

        await self.app(scope, receive, sent)


def listening(settings: Settings) -> Iterator[str]:
    """The service on a free port of this machine, under the policy."""
    config = uvicorn.Config(
        Strict(service(settings)), host="127.0.0.1", port=0, log_config=None, proxy_headers=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIDProvider]:
    with openid_provider() as provider:
        provider.person |= {"groups": ["care", "ward"], "units": ["ward-3", "ward-12"]}
        yield provider


@pytest.fixture(scope="module")
def address(provider: OpenIDProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from listening(settings_for(tmp_path_factory.mktemp("service"), provider))


@pytest.fixture(scope="module")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("development")
    settings = Settings(development=True, database=f"sqlite:///{folder / 'readmit.db'}")
    yield from listening(settings)


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
    # What a browser says of an answer of 403 or 404 is no complaint about the page.
    assert [text for text in heard if "Failed to load resource" not in text] == []


def test_the_whole_way_in_and_out(page: Any, address: str, provider: OpenIDProvider) -> None:
    page.goto(address)
    page.get_by_role("link", name="Sign in").click()
    assert page.url == f"{address}/"
    assert page.get_by_role("heading", level=1).inner_text() == "You are signed in"
    banner = page.get_by_role("banner")
    assert "Example Clinician" in banner.inner_text()
    assert "clinician, care manager" in banner.inner_text()
    (cookie,) = [one for one in page.context.cookies() if one["name"] == "readmit"]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    assert cookie["expires"] == -1
    assert page.evaluate("document.cookie") == ""

    page.get_by_role("button", name="Sign out").click()
    assert page.url == f"{address}/"
    assert page.get_by_role("link", name="Sign in").is_visible()
    assert "readmit" not in [one["name"] for one in page.context.cookies()]
    page.go_back()
    page.reload()
    assert page.get_by_role("link", name="Sign in").is_visible()


def test_a_form_on_another_sites_page_does_not_sign_out(
    page: Any, address: str, provider: OpenIDProvider
) -> None:
    page.goto(f"{address}/sign-in")
    assert page.get_by_role("button", name="Sign out").is_visible()
    # `localhost` is another site than 127.0.0.1 to a browser, on the same machine.
    elsewhere = address.replace("127.0.0.1", "localhost")
    page.route(
        f"{elsewhere}/evil",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f'<form method="post" action="{address}/sign-out"><button>Win</button></form>',
        ),
    )
    page.goto(f"{elsewhere}/evil")
    page.get_by_role("button", name="Win").click()
    page.goto(address)
    assert page.get_by_role("button", name="Sign out").is_visible()


@pytest.mark.parametrize("width", [360, 1280])
def test_every_page_fits_the_screen_under_the_policy(
    page: Any, address: str, development: str, provider: OpenIDProvider, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for start in (address, f"{address}/sign-in", f"{address}/nowhere", development):
        page.goto(start)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # The stylesheet came through: without it, the text would be set in a serif.
        assert "system-ui" in page.evaluate("getComputedStyle(document.body).fontFamily")
        assert page.evaluate(
            "[...document.querySelectorAll('button, .button')].every("
            "each => each.getBoundingClientRect().height >= 44)"
        )


def test_the_first_thing_a_keyboard_reaches_skips_to_the_content(page: Any, address: str) -> None:
    page.goto(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_on_paper_there_is_nothing_to_press(page: Any, address: str) -> None:
    page.goto(f"{address}/sign-in")
    page.emulate_media(media="print")
    assert page.get_by_role("button").count() == 0
    assert page.pdf(format="A4")[:5] == b"%PDF-"


def test_a_hostile_name_runs_nothing(page: Any, address: str, provider: OpenIDProvider) -> None:
    before = dict(provider.person)
    provider.person["name"] = "<img src=x onerror=alert(1)>" + "x" * 200
    alerts: list[str] = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    page.set_viewport_size({"width": 360, "height": 900})
    page.goto(f"{address}/sign-in")
    provider.person = before
    assert "<img src=x onerror=alert(1)>" in page.get_by_role("banner").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("img").count() == 0
    assert alerts == []


def test_development_mode_is_seen_first(page: Any, development: str) -> None:
    page.goto(development)
    box = page.get_by_text("Development mode.").locator("..").bounding_box()
    assert box["y"] == 0
    assert box["width"] == 1280
