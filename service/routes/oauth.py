"""``/oauth`` and what it says of itself: tokens for systems, and the keys that they verify with."""

from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from service.body import read_body
from service.identity.access import open_to_all
from service.identity.backend_services import (
    ASSERTION_TYPE,
    TOKEN_PATH,
    Code,
    IssuedToken,
    TokenRequestError,
)
from service.identity.issuers import CLIENT_ALGORITHMS
from service.identity.roles import ROLES
from service.openapi import json_answer, outcomes, problems
from service.serving import serving
from service.surroundings.limits import declare_not_identified

router = APIRouter(tags=["oauth"])

FORM: Final = "application/x-www-form-urlencoded"
LARGEST_FORM: Final = 32_768
"""Bytes: an assertion with room to spare."""


class TokenRefusal(msgspec.Struct, frozen=True):
    """Why no token is given (RFC 6749, section 5.2): a code, and nothing that helps to guess."""

    error: Code


class KeySet(msgspec.Struct, frozen=True):
    """Public keys (RFC 7517)."""

    keys: list[dict[str, Any]]


class SmartConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """What this authorization server can do (SMART App Launch 2.2, Conformance)."""

    issuer: str
    jwks_uri: str
    token_endpoint: str
    grant_types_supported: tuple[str, ...] = ("client_credentials",)
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("private_key_jwt",)
    token_endpoint_auth_signing_alg_values_supported: tuple[str, ...] = CLIENT_ALGORITHMS
    scopes_supported: tuple[str, ...]
    code_challenge_methods_supported: Annotated[
        tuple[str, ...],
        Meta(description="Every SMART server names it, whether or not it has such an endpoint."),
    ] = ("S256",)
    capabilities: tuple[str, ...] = (
        "client-confidential-asymmetric",
        "permission-v1",
        "permission-v2",
    )


STRUCTS: Final = (IssuedToken, TokenRefusal, KeySet, SmartConfiguration)
"""What these paths answer."""

_KEYS: Final = KeySet(
    [{"kty": "EC", "crv": "P-384", "x": "…", "y": "…", "kid": "…", "alg": "ES384", "use": "sig"}]
)
_REQUEST: Final = {
    "required": True,
    "description": "A form, as SMART Backend Services describes it.",
    "content": {
        FORM: {
            "schema": {
                "type": "object",
                "required": ["grant_type", "scope", "client_assertion_type", "client_assertion"],
                "properties": {
                    "grant_type": {"const": "client_credentials"},
                    "scope": {"type": "string"},
                    "client_assertion_type": {"const": ASSERTION_TYPE},
                    "client_assertion": {"type": "string"},
                },
            },
            "example": {
                "grant_type": "client_credentials",
                "scope": "system/RiskAssessment.rs",
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": "eyJ…",
            },
        }
    },
}


@router.post(
    TOKEN_PATH,
    summary="Get an access token for a system",
    description="SMART Backend Services: a registered system proves who it is with an assertion "
    "signed by its private key (RS384 or ES384; `iss` and `sub` its client id, `aud` this URL, at "
    "most five minutes, each `jti` once). It gets what it asks for as far as the operator allows, "
    "for five minutes, without a refresh token.",
    responses={
        200: json_answer(
            IssuedToken,
            "A token.",
            IssuedToken(access_token="eyJ…", scope="system/RiskAssessment.rs"),  # noqa: S106  none
        ),
        400: json_answer(
            TokenRefusal, "No token, in OAuth's own form.", TokenRefusal("invalid_client")
        ),
        **problems(408, 413, 415, 503),
    },
    openapi_extra={"requestBody": _REQUEST},
)
async def post_token(
    request: Request,
    _: Annotated[None, open_to_all("The assertion in its form is what identifies the system.")],
) -> Response:
    """Give a token, or say which of OAuth's reasons there is against it."""
    body = await read_body(request, LARGEST_FORM, (FORM,))
    try:
        issued = await serving(request).token_endpoint.issue(_form(body))
    except TokenRequestError as error:
        if error.code == "invalid_client":
            declare_not_identified(request)
        return _json(TokenRefusal(error.code), error.status)
    return _json(issued)


@router.get(
    "/oauth/jwks",
    summary="The service's public keys",
    description="What an EHR registers this service by, and what its tokens are verified with. "
    "The newest key signs; one that was replaced stays until its last token has expired.",
    responses={200: json_answer(KeySet, "The keys.", _KEYS), **problems(503)},
)
async def get_jwks(
    request: Request, _: Annotated[None, open_to_all("Public keys are for everybody.")]
) -> Response:
    """Give the public keys."""
    here = serving(request)
    return _json(KeySet(await here.compute(here.signing.published)))


_CONFIGURATION: Final = json_answer(
    SmartConfiguration,
    "The description.",
    SmartConfiguration(
        issuer="https://readmit.hospital.example",
        jwks_uri="https://readmit.hospital.example/oauth/jwks",
        token_endpoint="https://readmit.hospital.example/oauth/token",  # noqa: S106  a URL
        scopes_supported=("system/RiskAssessment.crs",),
    ),
)


@router.get(
    "/fhir/.well-known/smart-configuration",
    summary="What systems can ask of the FHIR side",
    description="The same as at the root: SMART looks for it below the base URL of FHIR.",
    responses={200: _CONFIGURATION, **outcomes()},
)
@router.get(
    "/.well-known/smart-configuration",
    summary="What systems can ask of this service",
    description="Where a system gets its token, and which scopes there are.",
    responses={200: _CONFIGURATION, **problems()},
)
async def get_smart_configuration(
    request: Request,
    _: Annotated[None, open_to_all("A system reads it before it has a token.")],
) -> Response:
    """Describe the authorization server."""
    own = serving(request).settings.own_url
    return _json(
        SmartConfiguration(
            issuer=own,
            jwks_uri=f"{own}/oauth/jwks",
            token_endpoint=own + TOKEN_PATH,
            scopes_supported=_SCOPES,
        )
    )


_SCOPES: Final = tuple(
    sorted(
        {
            f"system/{scope.resource}.{scope.permissions}"
            for role in ROLES.values()
            for scope in role.scopes
        }
    )
)
"""All that any role may do, a system may be allowed to."""


def _form(body: bytes) -> dict[str, str]:
    """Read a form; a parameter without a value counts as absent (RFC 6749, section 3.2).

    Raises:
        TokenRequestError: if it is none, or a parameter comes twice.
    """
    try:
        pairs = parse_qsl(body.decode(), errors="strict", max_num_fields=32)
    except ValueError:
        raise TokenRequestError("invalid_request") from None
    form = dict(pairs)
    if len(form) < len(pairs):
        raise TokenRequestError("invalid_request")
    return form


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")
