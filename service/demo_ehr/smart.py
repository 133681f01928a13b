"""The SMART authorization server: EHR launch for our app, Backend Services for our write-back.

Sources: SMART App Launch 2.2 (launch, discovery, context); SMART Backend Services; RFC 7523.
"""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from service.demo_ehr.access import LIFETIME_SECONDS, AccessTokens
from service.demo_ehr.codes import Asked, Codes
from service.demo_ehr.errors import OAuthError
from service.demo_ehr.people import CLINICIAN
from service.demo_ehr.plan import APP_CLIENT, BACKEND_CLIENT, Plan
from service.demo_ehr.signing import SigningKey

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS: Final = ["ES384", "RS384"]
LAUNCH_SECONDS: Final = 600.0
LONGEST_ASSERTION_SECONDS: Final = 300
_SKEW_SECONDS: Final = 30

PublishedKeys = Callable[[], Awaitable[bytes]]
"""Fetches the JWK Set that our service publishes."""


class Launch(NamedTuple):
    """What the app is opened on."""

    patient: str
    encounter: str | None
    app_context: str | None
    banner: bool
    """Whether the app must say itself who the patient is: in a tab of its own, but not in the
    chart."""


class SMARTServer:
    """Gives access to the FHIR server."""

    def __init__(self, plan: Plan, tokens: AccessTokens, published: PublishedKeys) -> None:
        self.key: Final = SigningKey(plan.fhir, f"{plan.fhir}/auth/jwks")
        self._plan = plan
        self._tokens = tokens
        self._published = published
        self._codes = Codes(plan.fhir, APP_CLIENT, f"{plan.service}/launch/callback")
        self._launches: dict[str, tuple[Launch, float]] = {}
        self._used: dict[str, float] = {}

    def configuration(self) -> dict[str, Any]:
        """What ``/.well-known/smart-configuration`` answers."""
        base = self._plan.fhir
        return {
            "issuer": base,
            "jwks_uri": f"{base}/auth/jwks",
            "authorization_endpoint": f"{base}/auth/authorize",
            "token_endpoint": self._plan.token_endpoint,
            "grant_types_supported": ["authorization_code", "client_credentials"],
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
            "scopes_supported": ["openid", "fhirUser", "launch", "patient/*.rs", "system/*.cruds"],
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "capabilities": [
                "launch-ehr",
                "client-public",
                "client-confidential-asymmetric",
                "context-banner",
                "context-ehr-patient",
                "context-ehr-encounter",
                "sso-openid-connect",
                "permission-patient",
                "permission-v1",
                "permission-v2",
            ],
        }

    def launch(self, launch: Launch) -> str:
        """A launch id for an app that is about to be opened, good for ten minutes."""
        now = time.monotonic()
        self._launches = {name: one for name, one in self._launches.items() if one[1] > now}
        identifier = secrets.token_urlsafe(24)
        self._launches[identifier] = launch, now + LAUNCH_SECONDS
        return identifier

    def authorize(self, query: Mapping[str, str]) -> str:
        """Where the browser is sent: whoever works at the EHR is signed in already.

        Raises:
            OAuthError: if the request is not one of our app for a launch of ours.
        """
        asked = self._codes.check(query)
        if query.get("aud", "").rstrip("/") != self._plan.fhir:
            raise OAuthError("invalid_request", "aud is not this FHIR server")
        launch, until = self._launches.get(query.get("launch", ""), (None, 0.0))
        if launch is None or until < time.monotonic():
            raise OAuthError("invalid_request", "launch is not known, or over")
        if "launch" not in asked.scope.split():
            raise OAuthError("invalid_scope", "scope: launch is missing")
        return self._codes.give(asked, launch)

    async def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer a request of the token endpoint.

        Raises:
            OAuthError: if there is no token for it.
        """
        grant = form.get("grant_type")
        if grant == "client_credentials":
            await self._authenticated(form, BACKEND_CLIENT)
            return self._of_system(form.get("scope", ""))
        if grant == "authorization_code":
            # Our app may be registered as a public client, or prove itself with its key.
            if "client_assertion" in form:
                await self._authenticated(form, APP_CLIENT)
            elif form.get("client_id") != APP_CLIENT:
                raise OAuthError("invalid_client", "client_id is not known", 401)
            return self._of_launch(*self._codes.take(form))
        raise OAuthError("unsupported_grant_type", "not a grant of this server")

    def _of_system(self, scope: str) -> dict[str, Any]:
        granted = " ".join(word for word in scope.split() if word.startswith("system/"))
        if not granted:
            raise OAuthError("invalid_scope", "no system/ scope was asked for")
        return {
            "access_token": self._tokens.give(granted, None),
            "token_type": "bearer",
            "expires_in": LIFETIME_SECONDS,
            "scope": granted,
        }

    def _of_launch(self, asked: Asked, launch: Launch) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "access_token": self._tokens.give(asked.scope, launch.patient),
            "token_type": "Bearer",
            "expires_in": LIFETIME_SECONDS,
            "scope": asked.scope,
            "patient": launch.patient,
            "need_patient_banner": launch.banner,
            "id_token": self.key.sign(
                {
                    "aud": asked.client,
                    **CLINICIAN.claims(),
                    "fhirUser": f"{self._plan.fhir}/Practitioner/{CLINICIAN.identifier}",
                    **({} if asked.nonce is None else {"nonce": asked.nonce}),
                }
            ),
        }
        if launch.encounter is not None:
            answer["encounter"] = launch.encounter
        if launch.app_context is not None:
            answer["appContext"] = launch.app_context
        return answer

    async def _authenticated(self, form: Mapping[str, str], client: str) -> None:
        """Check that a system is who it says, by the keys that it publishes.

        Raises:
            OAuthError: if not; one word for every reason, as RFC 6749 has it.
        """
        refused = OAuthError("invalid_client", "the client assertion is not accepted", 401)
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise refused
        try:
            keys = KeySet.import_key_set(_parsed(await self._published()))
            decoded = jwt.decode(form.get("client_assertion", ""), keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError, KeyError, OSError):
            raise refused from None
        claims, now = decoded.claims, time.time()
        expires, identifier = claims.get("exp"), claims.get("jti")
        if not isinstance(expires, int | float) or not isinstance(identifier, str):
            raise refused
        proper = (
            claims.get("iss") == claims.get("sub") == client
            and claims.get("aud") == self._plan.token_endpoint
            and now - _SKEW_SECONDS < expires <= now + LONGEST_ASSERTION_SECONDS + _SKEW_SECONDS
        )
        if not proper or identifier in self._used:
            raise refused
        self._used = {name: until for name, until in self._used.items() if until > now}
        self._used[identifier] = expires + _SKEW_SECONDS


def _parsed(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        raise ValueError("the keys are no JSON") from None
