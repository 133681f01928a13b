"""The EHR as a whole: its parts, made once at the start, and found again from each request."""

import asyncio
from typing import Final

import httpx
from fastapi import Request

from service.demo_ehr.access import AccessTokens
from service.demo_ehr.cards import GivenCard
from service.demo_ehr.codes import Codes
from service.demo_ehr.errors import PageError
from service.demo_ehr.events import Events
from service.demo_ehr.hooks import Hooks
from service.demo_ehr.people import BY_ID
from service.demo_ehr.plan import PEOPLE_CLIENT, Plan
from service.demo_ehr.records import HospitalRecords, Resource
from service.demo_ehr.signing import SigningKey
from service.demo_ehr.smart import SMARTServer
from service.demo_ehr.store import Store

SERVICE_SECONDS: Final = 10.0
"""How long the EHR waits for the service: longer than a real one, which would show no card."""
_HANDSHAKES: Final = 60
_HANDSHAKE_PAUSE_SECONDS: Final = 2.0


class EHR:
    """One demo EHR. It runs in one thread, so that nothing in it is locked."""

    def __init__(self, plan: Plan, records: HospitalRecords, http: httpx.AsyncClient) -> None:
        """Put the parts together.

        Args:
            plan: where everything is.
            records: the hospital's, opened.
            http: asks the readmit service; whoever made it closes it.

        """
        self.plan: Final = plan
        self.store: Final = Store(records)
        self.tokens: Final = AccessTokens()
        self.hooks: Final = Hooks(plan, self.store, self.tokens, http)
        self.events: Final = Events(plan, http)
        self.people_key: Final = SigningKey(plan.people, f"{plan.people}/jwks")
        self.people_codes: Final = Codes(
            plan.people, PEOPLE_CLIENT, f"{plan.service}/sign-in/callback"
        )
        self.cards: Final[dict[str, GivenCard]] = {}
        """All cards that were given, by uuid."""

        async def published() -> bytes:
            try:
                answer = await http.get(f"{plan.service}/oauth/jwks")
            except httpx.HTTPError as error:
                raise OSError("the service's keys are away") from error
            return answer.content

        self.smart: Final = SMARTServer(plan, self.tokens, published)

    def read(self, kind: str, identifier: str) -> Resource:
        """A resource, the EHR's own people among them.

        Raises:
            FHIRError: 404 if there is none.
        """
        if kind == "Practitioner" and identifier in BY_ID:
            return BY_ID[identifier].practitioner()
        if kind == "Subscription" and identifier == self.plan.subscription:
            return self.events.subscription()
        return self.store.read(kind, identifier)

    def card(self, uuid: str) -> GivenCard:
        """A card that was given.

        Raises:
            PageError: if none such was.
        """
        if uuid not in self.cards:
            raise PageError(404, "There is no such card (any more).")
        return self.cards[uuid]

    async def fire(self, hook: str, patient: str, encounter: str) -> str | None:
        """Fire a hook and keep the cards; in plain words why no answer came, where none did."""
        answered = await self.hooks.fire(hook, patient, encounter)
        self.cards.update({card.uuid: card for card in answered.cards})
        return answered.problem

    async def shake_hands(self) -> None:
        """Offer the subscription until the service takes it: it may start after the EHR."""
        for _ in range(_HANDSHAKES):
            if await self.events.handshake():
                return
            # Only the last refusal tells anything; the others say that the service starts.
            del self.events.deliveries[:-1]
            await asyncio.sleep(_HANDSHAKE_PAUSE_SECONDS)


def ehr_of(request: Request) -> EHR:
    """The EHR that a request came to."""
    found: EHR = request.app.state.ehr
    return found
