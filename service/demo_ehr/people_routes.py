"""``/people``: the OpenID provider, and ``/hooks``: what signs the calls of CDS Hooks.

Source: OpenID Connect Core 1.0 and Discovery 1.0. Nobody types a password: whoever opens the page
chooses who of the fictitious people they are.
"""

from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from fastapi import APIRouter, Request, Response

from service.demo_ehr.ehr import ehr_of
from service.demo_ehr.errors import OAuthError, PageError
from service.demo_ehr.forms import form_of
from service.demo_ehr.people import BY_ID, PEOPLE
from service.demo_ehr.plan import PEOPLE_CLIENT
from service.demo_ehr.rendering import page
from service.demo_ehr.signing import ALGORITHM, LIFETIME_SECONDS

router = APIRouter()


@router.get("/people/.well-known/openid-configuration")
async def get_discovery(request: Request) -> Response:
    """What the provider says of itself."""
    people = ehr_of(request).plan.people
    return _json(
        {
            "issuer": people,
            "authorization_endpoint": f"{people}/authorize",
            "token_endpoint": f"{people}/token",
            "jwks_uri": f"{people}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        }
    )


@router.get("/people/jwks")
async def get_keys(request: Request) -> Response:
    """What its tokens are checked with."""
    return _json(ehr_of(request).people_key.published())


@router.get("/people/authorize")
async def get_choice(request: Request) -> Response:
    """Ask who of the fictitious people somebody wants to be."""
    ehr_of(request).people_codes.check(request.query_params)
    return page(
        request,
        "choose_person.html",
        people=PEOPLE,
        action=f"/people/authorize?{urlencode(request.query_params.multi_items())}",
    )


@router.post("/people/authorize")
async def post_choice(request: Request) -> Response:
    """Send the browser back with a code for the person who was chosen."""
    codes = ehr_of(request).people_codes
    asked = codes.check(request.query_params)
    person = BY_ID.get((await form_of(request)).get("person", ""))
    if person is None:
        raise PageError(422, "Choose one of the people.")
    return Response(status_code=303, headers={"Location": codes.give(asked, person)})


@router.post("/people/token")
async def post_token(request: Request) -> Response:
    """Exchange a code for an id token and an access token for the service."""
    ehr = ehr_of(request)
    form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
    if form.get("grant_type") != "authorization_code":
        raise OAuthError("unsupported_grant_type", "not a grant of this provider")
    if form.get("client_id") != PEOPLE_CLIENT:
        raise OAuthError("invalid_client", "client_id is not known", 401)
    asked, person = ehr.people_codes.take(form)
    nonce = {} if asked.nonce is None else {"nonce": asked.nonce}
    return _json(
        {
            "access_token": ehr.people_key.sign(
                {"aud": "readmit", "client_id": PEOPLE_CLIENT, **person.claims()}, "at+jwt"
            ),
            "token_type": "Bearer",
            "expires_in": LIFETIME_SECONDS,
            "id_token": ehr.people_key.sign({"aud": PEOPLE_CLIENT, **person.claims(), **nonce}),
        }
    )


@router.get("/hooks/{started}/jwks")
async def get_hook_keys(request: Request, started: str) -> Response:
    """What the calls of CDS Hooks are checked with."""
    ehr = ehr_of(request)
    if started != ehr.plan.started:
        raise PageError(404, "That EHR was stopped.")
    return _json(ehr.hooks.key.published())


def _json(content: Any) -> Response:
    return Response(
        msgspec.json.encode(content),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
