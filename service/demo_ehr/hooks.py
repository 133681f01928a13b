"""Calling the service's CDS Hooks as an EHR does: discovery, prefetch, a JWT for each call.

Source: CDS Hooks 2.0. The service may be away, slow or refuse: then there is a sentence instead of
a card, and the EHR goes on without.
"""

import re
import uuid
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import httpx
import msgspec

from service.demo_ehr.access import LIFETIME_SECONDS, AccessTokens
from service.demo_ehr.cards import GivenCard
from service.demo_ehr.errors import FHIRError
from service.demo_ehr.people import CLINICIAN
from service.demo_ehr.plan import Plan
from service.demo_ehr.search import search
from service.demo_ehr.signing import SigningKey
from service.demo_ehr.store import Store

SCOPE: Final = "patient/*.rs"
USER: Final = f"Practitioner/{CLINICIAN.identifier}"
_TOKEN: Final = re.compile(r"\{\{([A-Za-z.]+)\}\}")


class Answered(NamedTuple):
    """What came of firing a hook."""

    cards: tuple[GivenCard, ...]
    problem: str | None
    """In plain words, where no answer came."""


class Hooks:
    """Calls the services of one base URL."""

    def __init__(
        self, plan: Plan, store: Store, tokens: AccessTokens, http: httpx.AsyncClient
    ) -> None:
        self.key: Final = SigningKey(plan.hooks, f"{plan.hooks}/jwks")
        self._plan = plan
        self._store = store
        self._tokens = tokens
        self._http = http
        self._services: list[dict[str, Any]] = []

    async def fire(self, hook: str, patient: str, encounter: str) -> Answered:
        """Tell every service of a hook what the user is about to do."""
        cards: list[GivenCard] = []
        try:
            for service in await self._discovered():
                if service.get("hook") == hook:
                    call = self._call(service, patient, encounter)
                    answer = await self._ask("POST", f"/cds-services/{service['id']}", call)
                    cards += [
                        GivenCard(card, service["id"], patient, encounter)
                        for card in answer["cards"]
                        if card.get("uuid")
                    ]
        except _NoAnswerError as failure:
            return Answered(tuple(cards), str(failure))
        return Answered(tuple(cards), None)

    async def report(self, card: GivenCard, report: dict[str, Any]) -> str | None:
        """Send feedback on a card; why it was not taken, where it was not."""
        try:
            path = f"/cds-services/{card.service}/feedback"
            await self._ask("POST", path, {"feedback": [report]})
        except _NoAnswerError as failure:
            return str(failure)
        return None

    async def _discovered(self) -> list[dict[str, Any]]:
        if not self._services:
            self._services = list((await self._ask("GET", "/cds-services"))["services"])
        return self._services

    def _call(self, service: dict[str, Any], patient: str, encounter: str) -> dict[str, Any]:
        context = {"userId": USER, "patientId": patient, "encounterId": encounter}
        return {
            "hook": service["hook"],
            "hookInstance": str(uuid.uuid4()),
            "fhirServer": self._plan.fhir,
            "fhirAuthorization": {
                "access_token": self._tokens.give(SCOPE, patient),
                "token_type": "Bearer",
                "expires_in": LIFETIME_SECONDS,
                "scope": SCOPE,
                "subject": self._plan.hooks,
                "patient": patient,
            },
            "context": context,
            "prefetch": {
                key: self._prefetched(template, context)
                for key, template in service.get("prefetch", {}).items()
            },
        }

    def _prefetched(self, template: str, context: dict[str, str]) -> dict[str, Any]:
        """What a template asks for; a search that fails is answered with its OperationOutcome."""
        asked = _TOKEN.sub(lambda found: context[found[1].removeprefix("context.")], template)
        path, _, query = asked.partition("?")
        try:
            if query:
                return search(self._store, self._plan.fhir, path, parse_qsl(query))
            kind, _, identifier = path.partition("/")
            return self._store.read(kind, identifier)
        except FHIRError as error:
            return error.outcome()

    async def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        url = self._plan.service + path
        headers = {
            "Authorization": f"Bearer {self.key.sign({'aud': url})}",
            "Content-Type": "application/json",
        }
        content = None if body is None else msgspec.json.encode(body)
        try:
            answer = await self._http.request(method, url, content=content, headers=headers)
        except (httpx.HTTPError, OSError):
            raise _NoAnswerError("The readmit service does not answer.") from None
        if answer.status_code != httpx.codes.OK:
            raise _NoAnswerError(
                f"The readmit service refused: {answer.status_code}{_title(answer)}."
            )
        found: dict[str, Any] = answer.json()
        return found


class _NoAnswerError(Exception):
    """The service gave no answer that could be used."""


def _title(answer: httpx.Response) -> str:
    """The title of a problem (RFC 9457), where the answer has one."""
    try:
        title = answer.json().get("title")
    except (ValueError, AttributeError):
        return ""
    return f" ({title})" if isinstance(title, str) else ""
