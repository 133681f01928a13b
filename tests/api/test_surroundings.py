"""What surrounds every request: the walls of development mode, names, headers, limits."""

import json
from collections.abc import Callable
from typing import Annotated, Any

import anyio
import httpx
import pytest
from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from service import middleware
from service.identity.access import open_to_all
from service.protection.keys import key_content, new_keys
from service.surroundings.headers import declare_policy

Start = Callable[..., Any]

TOKEN = {"Authorization": "Bearer guessed"}


@pytest.fixture
def normal(client_with: Start) -> Start:
    """Start the service as it runs for others: callers identify themselves."""

    def start(**settings: Any) -> Any:
        given = {
            "development": False,
            "keys": key_content(new_keys()).decode(),
            "public_url": "https://readmit.example",
            **settings,
        }
        return client_with(**given)

    return start


def from_address(client: Any, address: str, path: str, **options: Any) -> httpx.Response:
    """Ask as another machine would."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(client.app, client=(address, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as other:
            return await other.get(path, **options)

    answer: httpx.Response = client._portal.call(ask)
    return answer


def is_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    return problem


# Development mode


@pytest.mark.parametrize(
    "header",
    [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Anything",
        "Via",
        "X-Real-IP",
    ],
)
def test_in_development_mode_nothing_is_answered_through_a_proxy(client: Any, header: str) -> None:
    is_problem(client.get("/v1/model", headers={header: "10.0.0.9"}), 421)


@pytest.mark.parametrize("address", ["10.0.0.5", "::ffff:10.0.0.5", "2001:db8::1", "", "name"])
def test_in_development_mode_no_other_machine_is_answered(client: Any, address: str) -> None:
    is_problem(from_address(client, address, "/v1/model"), 421)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_in_development_mode_this_machine_is_answered(client: Any, address: str) -> None:
    assert from_address(client, address, "/v1/model").status_code == 200


def test_readiness_warns_of_development_mode(client: Any, normal: Start) -> None:
    told = client.get("/readyz").json()
    assert told["mode"] == "development"
    assert "Never for real patients" in told["warning"]
    assert told["status"] != "ready"
    assert normal().get("/readyz").json() == {"status": "ready", "mode": "normal"}


def test_outside_of_development_mode_nobody_is_answered_without_a_token(normal: Start) -> None:
    client = normal()
    for path in ("/v1/model", "/metrics"):
        is_problem(client.get(path), 401)
    is_problem(client.score(), 401)


# Names and addresses


def test_the_service_answers_to_its_public_name_and_to_those_allowed(normal: Start) -> None:
    client = normal(host="0.0.0.0", allowed_hosts="ward.example, [2001:DB8::7]")
    for host in ("readmit.example", "READMIT.example:443", "ward.example", "[2001:db8::7]:8000"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200, host
    for host in ("127.0.0.1", "localhost", "evil.example", "readmit.example.evil.example", ""):
        is_problem(client.get("/healthz", headers={"Host": host}), 421)


def test_two_host_headers_are_not_answered(client: Any) -> None:
    hosts = [("Host", "127.0.0.1"), ("Host", "127.0.0.1")]
    is_problem(client.get("/healthz", headers=hosts), 421)


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "address"),
    [
        ("", "10.0.0.1", ["9.9.9.9"], "10.0.0.1"),
        ("10.0.0.2", "10.0.0.1", ["9.9.9.9"], "10.0.0.1"),
        ("10.0.0.0/24", "10.0.0.1", ["9.9.9.9"], "9.9.9.9"),
        ("10.0.0.0/24", "10.0.0.1", ["1.1.1.1, 9.9.9.9, 10.0.0.7"], "9.9.9.9"),
        ("10.0.0.0/24", "10.0.0.1", ["1.1.1.1", "9.9.9.9", "10.0.0.7"], "9.9.9.9"),
        ("10.0.0.0/24", "10.0.0.1", ["9.9.9.9, not an address"], "10.0.0.1"),
        ("10.0.0.0/24", "10.0.0.1", ["9.9.9.9, junk, 10.0.0.7"], "10.0.0.7"),
        ("10.0.0.0/24", "10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.0/24", "::ffff:10.0.0.1", ["::ffff:9.9.9.9"], "9.9.9.9"),
        ("", "2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("", "", [], "unknown"),
    ],
)
def test_only_a_trusted_proxy_says_who_asks(
    proxies: str, peer: str, forwarded: list[str], address: str
) -> None:
    from starlette.datastructures import Headers

    from service.settings import Settings
    from service.surroundings.hosts import Hosts

    hosts = Hosts(Settings(trusted_proxies=proxies))  # type: ignore[arg-type]  # as the environment has it
    headers = Headers(raw=[(b"x-forwarded-for", value.encode()) for value in forwarded])
    assert hosts.client({"client": (peer, 1)}, headers) == address


# Headers


@pytest.fixture
def with_pages(client_with: Start) -> Any:
    """The service with pages that a test can ask for."""
    client = client_with(cors_origins="https://ehr.example", tls_ends_at_proxy=True)

    @client.app.get("/page")
    async def page(_: Annotated[None, open_to_all("A test.")]) -> Response:
        return HTMLResponse("<p>page", headers={"Content-Security-Policy": "default-src *"})

    @client.app.get("/framed")
    async def framed(request: Request, _: Annotated[None, open_to_all("A test.")]) -> Response:
        declare_policy(request, {"frame-ancestors": "https://ehr.example"})
        return HTMLResponse("<p>framed")

    @client.app.get("/broken")
    async def broken(_: Annotated[None, open_to_all("A test.")]) -> Response:
        raise KeyError("Canarina")

    return client


PATHS = ["/healthz", "/v1/model", "/nowhere", "/openapi.json", "/metrics", "/page", "/broken"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_security_headers_once(with_pages: Any, path: str) -> None:
    headers = with_pages.get(path).headers
    for name, value in {
        "cache-control": "no-store",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "strict-transport-security": "max-age=63072000",
    }.items():
        assert headers.get_list(name) == [value], name
    assert "camera=()" in headers["permissions-policy"]
    assert len(headers.get_list("content-security-policy")) == 1


def test_a_page_may_load_its_style_and_drawings_and_nothing_else(with_pages: Any) -> None:
    assert with_pages.get("/page").headers["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )


@pytest.mark.parametrize("path", ["/healthz", "/v1/model", "/nowhere", "/broken"])
def test_data_may_load_nothing(with_pages: Any, path: str) -> None:
    policy = with_pages.get(path).headers["content-security-policy"]
    assert policy == "default-src 'none'; frame-ancestors 'none'"


def test_a_page_declares_who_may_frame_it_and_keeps_the_rest(with_pages: Any) -> None:
    policy = with_pages.get("/framed").headers["content-security-policy"]
    assert "frame-ancestors https://ehr.example;" in policy
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in with_pages.get("/page").headers["content-security-policy"]


@pytest.mark.parametrize("value", ["a; script-src *", "a, default-src *", "a\r\nSet-Cookie: b"])
def test_a_policy_cannot_be_broken_out_of(value: str) -> None:
    request = Request({"type": "http", "state": {}})
    with pytest.raises(ValueError, match="separator"):
        declare_policy(request, {"frame-ancestors": value})


def test_without_encryption_browsers_are_not_told_to_insist_on_it(client: Any) -> None:
    assert "strict-transport-security" not in client.get("/healthz").headers


# Pages of other origins


def preflight(client: Any, origin: str, path: str = "/v1/score") -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    answer: httpx.Response = client.request("OPTIONS", path, headers=headers)
    return answer


def test_a_listed_origin_may_ask_with_a_token_and_never_with_a_cookie(with_pages: Any) -> None:
    asked = preflight(with_pages, "https://ehr.example")
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == "https://ehr.example"
    assert asked.headers["access-control-allow-headers"] == (
        "Authorization, Content-Type, Purpose-Of-Use"
    )
    assert "access-control-allow-credentials" not in asked.headers
    assert asked.headers["vary"] == "Origin"


@pytest.mark.parametrize("path", ["/v1/model", "/nowhere", "/broken"])
def test_a_listed_origin_may_read_errors_too(with_pages: Any, path: str) -> None:
    answer = with_pages.get(path, headers={"Origin": "https://ehr.example"})
    assert answer.headers["access-control-allow-origin"] == "https://ehr.example"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "*", "https://ehr.example.evil.example", ""]
)
def test_no_other_origin_may_read_anything(with_pages: Any, origin: str) -> None:
    is_problem(preflight(with_pages, origin), 405)
    answer = with_pages.get("/v1/model", headers={"Origin": origin})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_no_origin_is_listed_by_default(client: Any) -> None:
    is_problem(preflight(client, "https://ehr.example"), 405)


@pytest.mark.parametrize("path", ["/v1/score/", "/v1/model/", "//v1/model"])
def test_nobody_is_sent_on_with_their_token_to_an_address_of_their_own_making(
    client: Any, path: str
) -> None:
    for method in ("GET", "POST"):
        answer = client.request(method, path, headers=TOKEN)
        assert answer.status_code == 404
        assert "location" not in answer.headers


# Limits


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands until a test moves it."""
    from service import serving
    from service.surroundings.limits import Rates

    now = [1000.0]
    monkeypatch.setattr(serving, "Rates", lambda settings: Rates(settings, lambda: now[0]))
    return now


def test_a_caller_who_asks_too_often_is_told_how_long_to_wait(
    client_with: Start, still: list[float]
) -> None:
    client = client_with(requests_per_minute=3)
    for _ in range(3):
        assert client.get("/v1/model").status_code == 200
        still[0] += 10
    refused = client.get("/v1/model")
    assert is_problem(refused, 429)["type"] == "urn:readmit:problem:rate"
    assert refused.headers["retry-after"] == "30"
    still[0] += 30.5
    assert client.get("/v1/model").status_code == 200
    is_problem(client.get("/v1/model"), 429)


def test_a_supervisor_is_always_answered(normal: Start, still: list[float]) -> None:
    client = normal(requests_per_minute=1, failed_identifications_per_minute=1)
    for _ in range(3):
        client.get("/v1/model", headers=TOKEN)
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200


def test_tokens_cannot_be_guessed_faster_than_the_limit(normal: Start, still: list[float]) -> None:
    client = normal(failed_identifications_per_minute=5)
    answers = [client.get("/v1/model", headers=TOKEN).status_code for _ in range(8)]
    assert answers == [401] * 5 + [429] * 3
    refused = client.get("/v1/model", headers=TOKEN)
    assert refused.headers["retry-after"] == "60"
    # Another machine is not held responsible.
    assert from_address(client, "10.0.0.8", "/v1/model", headers=TOKEN).status_code == 401
    # What was refused for its frequency does not count again: the wait ends.
    still[0] += 61
    assert client.get("/v1/model", headers=TOKEN).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("GET", "/", {"headers": TOKEN}),
        ("GET", "/", {"headers": {"Cookie": "readmit=guessed"}}),
        ("POST", "/oauth/token", {"data": {"grant_type": "client_credentials"}}),
    ],
)
def test_where_a_wrong_guess_is_answered_otherwise_than_by_401_it_counts_too(
    normal: Start, still: list[float], method: str, path: str, sent: dict[str, Any]
) -> None:
    client = normal(failed_identifications_per_minute=3, public_url="http://127.0.0.1")
    answers = [client.request(method, path, **sent).status_code for _ in range(5)]
    assert 429 not in answers[:3]
    assert answers[3:] == [429, 429]


def test_a_stranger_who_only_looks_at_the_start_page_guesses_nothing(
    normal: Start, still: list[float]
) -> None:
    client = normal(failed_identifications_per_minute=1)
    assert [client.get("/").status_code for _ in range(3)] == [200] * 3


def test_the_start_page_is_limited_as_the_rest_is(client_with: Start, still: list[float]) -> None:
    client = client_with(requests_per_minute=2)
    assert [client.get("/").status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("asked", [{"Accept": "text/html"}, {}])
def test_who_is_not_identified_is_told_what_would_be_taken(
    normal: Start, asked: dict[str, str]
) -> None:
    unknown = normal().request("POST", "/sign-out", headers=asked)
    assert unknown.status_code == 401
    assert unknown.headers["www-authenticate"] == "Bearer"
    assert unknown.headers["content-type"].startswith("text/html") is bool(asked)


@pytest.mark.parametrize("asked", [{"Accept": "text/html"}, {}])
def test_a_person_who_opens_pages_too_often_is_told_how_long_to_wait_as_a_program_is(
    client_with: Start, still: list[float], asked: dict[str, str]
) -> None:
    client = client_with(requests_per_minute=1)
    assert client.get("/", headers=asked).status_code == 200
    still[0] += 20
    refused = client.get("/", headers=asked)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "40"
    assert refused.headers["content-type"].startswith("text/html") is bool(asked)


def test_an_address_cannot_be_feigned_to_guess_on(normal: Start, still: list[float]) -> None:
    client = normal(failed_identifications_per_minute=2)
    answers = [
        client.get("/v1/model", headers={**TOKEN, "X-Forwarded-For": f"9.9.9.{n}"}).status_code
        for n in range(4)
    ]
    assert answers == [401, 401, 429, 429]


def test_behind_a_trusted_proxy_each_address_has_its_own_window(
    normal: Start, still: list[float]
) -> None:
    client = normal(failed_identifications_per_minute=1, trusted_proxies="127.0.0.1")

    def ask(address: str) -> int:
        status: int = client.get(
            "/v1/model", headers={**TOKEN, "X-Forwarded-For": address}
        ).status_code
        return status

    assert [ask("9.9.9.1"), ask("9.9.9.1"), ask("9.9.9.2")] == [401, 429, 401]


def test_a_url_beyond_all_use_is_refused(client: Any) -> None:
    is_problem(client.get("/" + "a" * 8_001), 414)
    is_problem(client.get("/v1/model?" + "a" * 8_000), 414)
    is_problem(client.get("/" + "a" * 7_000), 404)


def test_headers_beyond_all_use_are_refused(client: Any) -> None:
    is_problem(client.get("/healthz", headers={"X-Large": "a" * 32_000}), 431)
    is_problem(client.get("/healthz", headers=[(f"X-{n}", "a") for n in range(101)]), 431)
    assert client.get("/healthz", headers={"X-Large": "a" * 30_000}).status_code == 200


# The request's id


UUID = "123e4567-e89b-12d3-a456-426614174000"


def test_a_well_formed_request_id_comes_back(client: Any) -> None:
    for given in (UUID, UUID.replace("-", "")):
        answer = client.get("/v1/model", headers={"X-Request-ID": given})
        assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["Canarina", "123456", UUID + "1", UUID + " Canarina", ""])
def test_any_other_request_id_does_not(client: Any, given: str) -> None:
    answer = client.get("/v1/model", headers={"X-Request-ID": given})
    assert "x-request-id" not in answer.headers


def test_a_caller_that_goes_away_is_no_error(client: Any) -> None:
    """The connection ends while the body is sent: nothing is answered, one line is written."""
    sent: list[Any] = []

    async def ask() -> None:
        async def receive() -> dict[str, Any]:
            await anyio.sleep(0)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "app": client.app,
            "method": "POST",
            "path": "/v1/score",
            "raw_path": b"/v1/score",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "scheme": "http",
            "root_path": "",
            "http_version": "1.1",
        }
        await client.app(scope, receive, send)

    client._portal.call(ask)
    assert sent == []


def test_the_paths_that_are_not_limited_are_those_of_supervision() -> None:
    assert {"/healthz", "/readyz"} == middleware.UNLIMITED


def test_the_documented_errors_include_those_of_the_surroundings(client: Any) -> None:
    document = json.loads(client.get("/openapi.json").text)
    assert "429" in document["paths"]["/v1/model"]["get"]["responses"]
    assert "429" not in document["paths"]["/healthz"]["get"]["responses"]
