"""The way of a launch: to the EHR's authorization, and back with a code for one patient's chart.

Sources: SMART App Launch 2.2, "EHR launch" and "Scopes and launch context"; RFC 7636 (PKCE); RFC
9207 (``iss`` in the answer); RFC 7523 (``private_key_jwt``). State, nonce, verifier and the browser
are those of every sign-in (``service.identity.sign_in``).
"""

import re
from typing import Final, Literal, NamedTuple, NoReturn

import anyio.to_thread
import msgspec

from fhir_mappings.errors import ReadmitError
from service.cds_hooks.services import PREFETCH
from service.fhir_servers.forms import post_form
from service.identity.backend_services import ASSERTION_TYPE
from service.identity.bearer import caller_of, roles_in
from service.identity.caller import Caller
from service.identity.errors import UnauthenticatedError
from service.identity.fetching import FetchError
from service.identity.id_tokens import claims_for
from service.identity.issuers import PairedServer, TrustedIssuer
from service.identity.scopes import parse_scopes
from service.identity.sessions import Launch
from service.identity.sign_in import Begun, BegunLaunch, SignInError, begin_sign_in
from service.observing.logs import Happening, logger, word_of
from service.serving import Serving

SCOPE: Final = " ".join(
    (
        "launch openid fhirUser",
        *dict.fromkeys(
            f"patient/{re.split('[/?]', template)[0]}.rs" for template in PREFETCH.values()
        ),
        # The drugs that prescriptions name by reference.
        "patient/Medication.rs",
    )
)
"""What is asked of the EHR: who is there, which chart is open, and of that one patient the records
that a risk is made of."""

GRANTED: Final = parse_scopes("patient/RiskAssessment.crs patient/DocumentReference.rs")
"""What the session may do here, as far as the person's roles allow it."""

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
"""FHIR R4, datatype id."""

_log = logger("readmit.identity")

Why = Literal[
    "server", "launch", "no launch", "another issuer", "refused by the EHR", "code", "answer",
    "patient", "records",
]  # fmt: skip
"""Why a launch is refused: for the log alone, and as a word of this list."""


class LaunchError(ReadmitError):
    """A launch did not come to its end. The message never says why; the log does."""

    status = 400
    title = "The launch did not work out"

    def __init__(
        self, message: str = "Nothing was opened. Open it again from the patient's chart."
    ) -> None:
        super().__init__(message)


def refuse_launch(why: Why) -> NoReturn:
    """Refuse a launch: the reason goes to the log, and never to the browser.

    Raises:
        LaunchError: always, and always the same.
    """
    _log.info(Happening.LAUNCH_REFUSED, why=word_of(Why, why))
    raise LaunchError


class Chart(NamedTuple):
    """The chart that is open in the EHR, and the access that its user gives us to it."""

    server: PairedServer
    patient: str
    encounter: str | None
    app_context: str | None
    """What a card's link carried: the id of its score, if it is ours."""
    patient_banner: bool
    token: str
    """The user's access token. Held while the request lasts: never kept, logged or shown."""

    def __repr__(self) -> str:
        return "Chart(...)"

    @property
    def launch(self) -> Launch:
        """What the session remembers of it."""
        return Launch(
            fhir_server=self.server.url,
            encounter=self.encounter,
            patient_banner=self.patient_banner,
        )


class _TokenAnswer(msgspec.Struct, frozen=True):
    """SMART App Launch 2.2, "Access token response" with the launch context."""

    access_token: str
    token_type: str
    id_token: str
    patient: str | None = None
    encounter: str | None = None
    need_patient_banner: bool = True
    """Without the EHR's word that it says whose page this is, we say so."""
    app_context: str | None = msgspec.field(name="appContext", default=None)

    def __repr__(self) -> str:
        return "_TokenAnswer(...)"


async def begin_launch(
    here: Serving, server: PairedServer, launch: str, *, redirect_uri: str, browser: str
) -> str:
    """Remember a launch, and give the address at the EHR that the browser is sent to.

    Args:
        here: the running service.
        server: whose chart is open; paired by the operator, with a client id.
        launch: the EHR's opaque word for what is open there.
        redirect_uri: where the EHR sends the browser back to.
        browser: a random value that this browser holds in a cookie.

    Raises:
        SMARTConfigurationError: if the EHR does not say how to go on, or not safely.
    """
    found = await here.smart_configurations.of(server)
    return await anyio.to_thread.run_sync(
        lambda: begin_sign_in(
            here.keeping,
            issuer=server.vouching,
            authorization_endpoint=found.authorization_endpoint,
            client_id=server.client_id or "",
            redirect_uri=redirect_uri,
            browser=browser,
            return_to="/",
            scope=SCOPE,
            more={"aud": server.url, "launch": launch},
            launch=BegunLaunch(fhir_server=server.url, token_endpoint=found.token_endpoint),
        )
    )


async def opened_for(
    here: Serving, server: PairedServer, begun: Begun, code: str
) -> tuple[Caller, Chart]:
    """Exchange a code: who is at the chart, and which chart it is.

    The person has no roles where neither a claim nor the operator's file gives them one.

    Raises:
        LaunchError: if the EHR does not take the code, or its answer does not name a patient.
        SignInError: if its id token is not for us and this launch.
        FetchError: if it is away.
    """
    answer = await _answer(here, server, begun, code)
    issuer = here.trusted.issuers[server.vouching]
    if answer.token_type.lower() != "bearer" or not answer.access_token.isascii():
        refuse_launch("answer")
    patient = _id(answer.patient)
    if patient is None:
        refuse_launch("patient")
    chart = Chart(
        server=server,
        patient=patient,
        encounter=_id(answer.encounter),
        app_context=answer.app_context,
        patient_banner=answer.need_patient_banner,
        token=answer.access_token,
    )
    return await _person(issuer, begun, answer.id_token, chart), chart


async def _answer(here: Serving, server: PairedServer, begun: Begun, code: str) -> _TokenAnswer:
    endpoint = "" if begun.launch is None else begun.launch.token_endpoint
    client_id = server.client_id or ""
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": code,
        "redirect_uri": begun.redirect_uri,
        "code_verifier": begun.verifier,
    }
    if server.client_authentication == "private_key_jwt":
        claims = {"iss": client_id, "sub": client_id, "aud": endpoint}
        form["client_assertion_type"] = ASSERTION_TYPE
        form["client_assertion"] = await anyio.to_thread.run_sync(here.signing.sign, claims, "JWT")
    try:
        content = await post_form(endpoint, form, vouched=server.addresses)
    except FetchError as error:
        if error.answered in (400, 401):
            refuse_launch("code")
        raise
    try:
        return msgspec.json.decode(content, type=_TokenAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        refuse_launch("answer")


async def _person(issuer: TrustedIssuer, begun: Begun, id_token: str, chart: Chart) -> Caller:
    """Whoever the issuer vouches for, confined to the patient of the chart."""
    claims = await claims_for(issuer, begun, chart.server.client_id or "", id_token)
    roles = roles_in(claims, issuer.declared) or frozenset(chart.server.launch_roles)
    if not roles:
        # Not ``caller_of``: an issuer that may speak for systems as well would make them one.
        return Caller(way="session", issuer=begun.issuer, subject=claims["sub"])
    try:
        person = caller_of(claims, issuer, otherwise=roles)
    except UnauthenticatedError:  # it names a purpose that there is not
        raise SignInError("Nobody was signed in.") from None
    return msgspec.structs.replace(
        person, way="session", client=None, scopes=GRANTED, patient=chart.patient
    )


def _id(value: str | None) -> str | None:
    """A FHIR id, with or without the type that some EHRs put before it."""
    bare = (value or "").rpartition("/")[2]
    return bare if _ID.fullmatch(bare) else None
