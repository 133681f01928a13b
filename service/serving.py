"""What the routes share while the service runs: settings, model, codes, and room for requests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
import anyio.to_thread
from fastapi import Request

from fhir_mappings.concepts import ConceptTables
from fhir_mappings.consent import OptOuts, used_now
from fhir_mappings.errors import RiskModelError
from fhir_mappings.opt_out import OptOutList
from fhir_mappings.profiles import SiteProfile, load_profile
from fhir_mappings.sources.reading import site_concepts
from service import VERSION
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.cards.playbook import load_playbook
from service.fhir_servers.client import Breaker
from service.identity.backend_services import TokenEndpoint
from service.identity.bearer import BearerTokens
from service.identity.ehr_tokens import EHRTokens
from service.identity.issuers import read_trusted
from service.identity.signing import SigningKeys
from service.keeping import Keeping, open_keeping
from service.model_trial import load_tried
from service.observing.logs import Happening, logger
from service.observing.metrics import Build, Metrics
from service.problems import BusyError
from service.settings import Settings
from service.smart_launch.configuration import SMARTConfigurations
from service.surroundings.limits import Rates

if TYPE_CHECKING:
    from training.risk_model import RiskModel

AT_ONCE: Final = 32
"""Requests in hand at once. Each may hold a body of the limit's size, so this bounds memory."""

THREADS: Final = 4
"""Requests being computed at once. Reading is work for one processor at a time; a few threads keep
a small request from waiting behind a large one."""

Answer = TypeVar("Answer")

_log = logger("readmit.serving")


def load_model(settings: Settings) -> "RiskModel":
    """Load the risk model that the settings name: a folder, or else the registry's champion.

    Raises:
        RiskModelError: if there is none, it is not the one that its manifest and the record of
            promotions describe, or its trial in a child process failed.
    """
    return load_tried(settings)


def profile_of(settings: Settings, model: "RiskModel | None") -> SiteProfile:
    """The site profile that the settings name, or else the one that the model learned with.

    Reading with another profile than the model's finds other stays and other codes, and nothing in
    the answer would look wrong: that must be a decision, not a default.

    Raises:
        SiteProfileError: if there is no such profile.
    """
    if settings.profile is not None:
        return load_profile(settings.profile)
    return load_profile("default" if model is None else model.reference.profile)


class Serving:
    """A running service: made once, when it starts, within its event loop.

    Raises:
        OptOutError: if an opt-out list is named and cannot be read.
        PlaybookError: if the site's playbook cannot be used.
    """

    def __init__(self, settings: Settings, model: "RiskModel | None") -> None:
        self.settings = settings
        self.trusted = read_trusted(settings)
        self.playbook = load_playbook(settings.playbook)
        self.breaker = Breaker()
        self.smart_configurations = SMARTConfigurations(self.breaker)
        # Before the database: a list that cannot be read would leave connections to it open.
        self._opt_out = OptOutList(settings.opt_out)
        self.keeping: Keeping = open_keeping(settings)
        self.rates = Rates(settings)
        self.metrics = Metrics(Build(VERSION, settings.mode))
        self.metrics.watch(lambda: self.keeping.audit.failures)
        own, database = settings.own_url, self.keeping.database
        self.signing = SigningKeys(database, self.keeping.keys)
        self.bearer = BearerTokens(self.trusted, self.signing, database, own)
        self.token_endpoint = TokenEndpoint(self.trusted, self.signing, self.keeping.audit, own)
        self.ehr_tokens = EHRTokens(self.signing)
        self._model = model
        self._refusal = ""
        self._room = anyio.CapacityLimiter(AT_ONCE)
        self._threads = anyio.CapacityLimiter(THREADS)
        if model is None:
            try:
                self._model = load_model(settings)
            except RiskModelError as error:
                # The service starts all the same: it can say what is wrong, and that it is alive.
                self._refusal = str(error)
                _log.error(Happening.NO_MODEL, reason=error)
        if self._model is not None:
            self.metrics.loaded(self._model)
        self.profile: SiteProfile = profile_of(settings, self._model)
        self.concepts: ConceptTables = site_concepts(self.profile)

    @property
    def model(self) -> "RiskModel":
        """The risk model.

        Raises:
            RiskModelError: if none could be loaded, with what loading said.
        """
        if self._model is None:
            raise RiskModelError(self._refusal)
        return self._model

    @property
    def opt_outs(self) -> OptOuts:
        """Who has opted out, by the list as its file is now, for records that are used now.

        Raises:
            OptOutError: if the list was named and cannot be read any more: nobody is scored then.
        """
        return used_now(self.profile, self._opt_out.patients())

    def record_start(self) -> None:
        """Enter in the audit that the service started, how, and with which model.

        Raises:
            DatabaseError: if it cannot be entered; a service that cannot keep its audit must not
                start.
            AuditError: likewise.
        """
        details = {
            "mode": self.settings.mode,
            "model": None if self._model is None else self._model.name,
            "version": None if self._model is None else self._model.version,
        }
        self.keeping.audit.record(Entry(event=Event.SERVICE_STARTED, caller=None, details=details))

    @contextmanager
    def room(self) -> Iterator[None]:
        """Take one of the places for requests in hand.

        Raises:
            BusyError: if all are taken.
        """
        place = object()
        try:
            self._room.acquire_on_behalf_of_nowait(place)
        except anyio.WouldBlock:
            raise BusyError("All places are taken; try again.") from None
        try:
            yield
        finally:
            self._room.release_on_behalf_of(place)

    async def compute(self, work: Callable[[], Answer]) -> Answer:
        """Do work off the event loop, so that a large record does not hold up a health check."""
        return await anyio.to_thread.run_sync(work, limiter=self._threads)


def serving(request: Request) -> Serving:
    """The running service that a request came to."""
    running = request.app.state.serving
    assert isinstance(running, Serving)  # noqa: S101  what create_app put there
    return running
