"""Whom the operator trusts to say who asks: a TOML file, and what issuers publish of themselves.

An ``[[issuer]]`` is an OpenID Connect provider, or an EHR that signs its own requests; a
``[[client]]`` is a system that gets its tokens from this service (SMART Backend Services). Nobody
else is listened to. A ``[[fhir_server]]`` is where an issuer's records may be fetched.
"""

import re
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from service.fhir_servers.addresses import FHIRServerError, base_url, same_server
from service.identity.fetching import FetchError, fetch, safe_url
from service.identity.keysets import PublicKeys, PublishedKeys, RegisteredKeys
from service.identity.roles import ROLES, Role
from service.identity.scopes import Scope, granted, parse_scope
from service.identity.signed_tokens import Algorithm, KeySource
from service.settings import Settings, SettingsError

BACKEND_SCOPES: Final = "system/*.rs " + " ".join(
    f"system/{kind}.crus" for kind in ("RiskAssessment", "Flag", "Provenance")
)
"""What this service asks for where it acts by itself: to read records, and to write three types of
resource by conditional update, which may create, is an update, and searches."""

_SERVER_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")

ClaimPath = str | tuple[str, ...]
"""A claim by its name; by several names where it lies within others
(``["realm_access", "roles"]``)."""

CLIENT_ALGORITHMS: Final[tuple[Algorithm, ...]] = ("RS384", "ES384")
"""What a system signs with (SMART App Launch 2.2, asymmetric client authentication)."""


class RoleRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which value of which claim means which role."""

    claim: ClaimPath
    value: str
    """The claim's value, or one of its values where it is a list."""
    role: Role


class Issuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One issuer, as the operator describes it."""

    issuer: str
    """Its URL, exactly as its tokens have it in ``iss``."""
    audience: str | tuple[str, ...] = ()
    """What its access tokens for this service have in ``aud``; one of several."""
    audience_is_url: bool = False
    """Whether ``aud`` may also be the exact URL that is called (CDS Hooks: another one for
    discovery, for each service and for its feedback)."""
    algorithms: tuple[Algorithm, ...] = ("RS256",)
    jwks_uri: str | None = None
    """Where its keys are; from ``/.well-known/openid-configuration`` where it is not given."""
    role: tuple[RoleRule, ...] = ()
    units_claim: ClaimPath | None = None
    """The claim that names the units a person works in."""
    patient_claim: ClaimPath = "patient"
    """The claim that names the one patient a token is for (SMART launch context)."""
    system_scopes: str = ""
    """What its tokens may do that are no person's: at most these ``system/`` scopes. A token that
    names no scopes itself (CDS Hooks) has all of them, unless the issuer has roles as well: then it
    may be a person's, and nobody is let in with it. Without any, only persons are let in."""
    single_use: bool = False
    """Whether each of its tokens may be used once (CDS Hooks: a new one for each request)."""
    client_id: str | None = None
    """What this service is called there when people sign in with a browser."""
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None

    @property
    def audiences(self) -> tuple[str, ...]:
        """What the operator set as ``aud``."""
        return (self.audience,) if isinstance(self.audience, str) else self.audience


class Client(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A system that may get tokens from this service."""

    client_id: str
    scopes: str
    """The ``system/`` scopes that it may have."""
    jwks_file: str | None = None
    """File of its public keys (JWK Set); relative to the file that names it."""
    jwks_uri: str | None = None
    """Where it publishes them, instead of the file."""


class PairedServer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An EHR's FHIR server that this service may ask, for the requests of one issuer alone."""

    url: str
    """Its base URL, as the EHR's requests have it in ``fhirServer``."""
    issuer: str
    """Whose requests may name it: the ``issuer`` of one listed."""
    addresses: tuple[str, ...] = ()
    """IP addresses that the operator vouches for: only these may be private."""
    client_id: str | None = None
    """What this service is called there as an app (SMART App Launch); nothing is launched from a
    server without it."""
    client_authentication: Literal["none", "private_key_jwt"] = "none"
    """How this service shows there that it is that app: a public client with PKCE alone, or one
    that signs with its own key as well."""
    launch_roles: tuple[Role, ...] = ()
    """The roles of a launched user to whom no claim of the id token gives one."""
    openid_issuer: str | None = None
    """The issuer of one listed, who signs the id tokens; the pairing's where it is not given."""
    name: str | None = None
    """What it is called in our own paths, logs and tables; it stays, whatever moves."""
    subscription_secret_sha256: str | None = None
    """Hash of the bearer value that its notifications carry (``Subscription.channel.header``)."""
    write_back: bool = False
    """Whether risks of its events are written to it."""
    backend_client_id: str | None = None
    """What it calls this service as a program of its own (SMART Backend Services)."""
    backend_token_endpoint: str | None = None
    backend_scopes: str = BACKEND_SCOPES

    @property
    def vouching(self) -> str:
        """The issuer of the id tokens of a launch."""
        return self.openid_issuer or self.issuer

    @property
    def takes_part_in_events(self) -> bool:
        """Whether there is anything to do for it beside answering requests."""
        return self.subscription_secret_sha256 is not None or self.write_back


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    issuer: tuple[Issuer, ...] = ()
    client: tuple[Client, ...] = ()
    fhir_server: tuple[PairedServer, ...] = ()


class Endpoints(msgspec.Struct, frozen=True):
    """Where an issuer answers (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None


class TrustedIssuer(NamedTuple):
    """An issuer with its keys."""

    declared: Issuer
    keys: KeySource
    system_scopes: tuple[Scope, ...]


class RegisteredClient(NamedTuple):
    """A system with its keys, and all that it may be granted."""

    client_id: str
    keys: KeySource
    scopes: tuple[Scope, ...]


class Trusted(NamedTuple):
    """Everybody whose word counts."""

    issuers: dict[str, TrustedIssuer]
    """By ``iss``."""
    clients: dict[str, RegisteredClient]
    """By client id."""
    fhir_servers: tuple[PairedServer, ...] = ()
    """The EHRs' own servers that may be asked."""

    def launching(self, iss: str) -> PairedServer | None:
        """The server that may launch this service, by the base URL that a launch names.

        What is named is only compared: nothing connects to it.
        """
        for server in self.fhir_servers:
            try:
                if server.client_id is not None and same_server(server.url, iss):
                    return server
            except FHIRServerError:
                return None  # what was named is no base URL
        return None

    def launched_from(self, issuer: str) -> bool:
        """Whether an EHR, by the issuer of its requests, can launch this service."""
        return any(
            server.issuer == issuer and server.client_id is not None for server in self.fhir_servers
        )


def read_trusted(settings: Settings) -> Trusted:
    """Read the file that the settings name; nobody is trusted without one. Nothing is fetched.

    Raises:
        SettingsError: naming the element that is wrong, never its value.
    """
    path = settings.issuers
    if path is None:
        return Trusted({}, {})
    try:
        file = msgspec.toml.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise SettingsError(f"READMIT_ISSUERS: {error.strerror or 'cannot be read'}") from None
    except UnicodeDecodeError:
        raise SettingsError("READMIT_ISSUERS: not UTF-8") from None
    except msgspec.ValidationError as error:
        raise SettingsError(f"READMIT_ISSUERS: {_unquoted(error)}") from None
    except msgspec.DecodeError:
        raise SettingsError("READMIT_ISSUERS: not TOML") from None
    issuers = {
        declared.issuer: _trusted(declared, f"issuer[{number}]")
        for number, declared in enumerate(file.issuer)
    }
    clients = {
        declared.client_id: _registered(declared, f"client[{number}]", path.parent)
        for number, declared in enumerate(file.client)
    }
    _require(len(issuers) == len(file.issuer), "issuer", "one is listed twice")
    _require(len(clients) == len(file.client), "client", "one is listed twice")
    _require(settings.own_url not in issuers, "issuer", "one is this service itself")
    for number, server in enumerate(file.fhir_server):
        _check_server(server, f"fhir_server[{number}]", issuers)
        _check_launch(server, f"fhir_server[{number}]", issuers)
    launching = [server for server in file.fhir_server if server.client_id is not None]
    _require(
        not any(
            same_server(one.url, other.url)
            for number, one in enumerate(launching)
            for other in launching[:number]
        ),
        "fhir_server",
        "one launches twice",
    )
    names = [server.name for server in file.fhir_server if server.name is not None]
    _require(len(set(names)) == len(names), "fhir_server", "two have the same name")
    return Trusted(issuers, clients, file.fhir_server)


async def endpoints_of(declared: Issuer) -> Endpoints:
    """Where an issuer answers: as declared, and by its own word where something is missing.

    Raises:
        FetchError: if it is away, or describes another issuer than itself, or sends to an address
            that is not safe to ask.
    """
    named = (declared.jwks_uri, declared.authorization_endpoint, declared.token_endpoint)
    if all(named):
        return Endpoints(declared.issuer, *(address or "" for address in named))
    found = await _discovered(declared.issuer)
    return Endpoints(
        issuer=declared.issuer,
        jwks_uri=declared.jwks_uri or found.jwks_uri,
        authorization_endpoint=declared.authorization_endpoint or found.authorization_endpoint,
        token_endpoint=declared.token_endpoint or found.token_endpoint,
    )


async def _discovered(issuer: str) -> Endpoints:
    content = await fetch(issuer.rstrip("/") + "/.well-known/openid-configuration")
    try:
        found = msgspec.json.decode(content, type=Endpoints)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise FetchError("its description of itself is damaged") from None
    if found.issuer != issuer:
        # OpenID Connect Discovery 1.0, section 4.3: else one issuer could speak for another.
        raise FetchError("it describes another issuer than itself")
    addresses = (found.jwks_uri, found.authorization_endpoint, found.token_endpoint)
    if issuer.startswith("https:") and any(
        address is not None and not address.startswith("https:") for address in addresses
    ):
        raise FetchError("it sends to an address that is not https")
    return found


def _trusted(declared: Issuer, place: str) -> TrustedIssuer:
    _require(safe_url(declared.issuer), f"{place}.issuer", "neither https nor on this machine")
    audiences = declared.audiences
    _require(bool(audiences) or declared.audience_is_url, f"{place}.audience", "is missing")
    _require(all(audiences), f"{place}.audience", "is empty")
    _require(bool(declared.algorithms), f"{place}.algorithms", "is empty")
    for name in ("jwks_uri", "authorization_endpoint", "token_endpoint"):
        address = getattr(declared, name)
        _require(address is None or safe_url(address), f"{place}.{name}", "neither https nor here")
    # An id token is for the client; one that passed for an access token could be replayed by it.
    _require(
        declared.client_id not in audiences,
        f"{place}.client_id",
        "equals the audience, so that an id token would pass for an access token",
    )
    scopes = _system_scopes(declared.system_scopes, f"{place}.system_scopes")

    async def locate() -> str:
        if declared.jwks_uri is not None:
            return declared.jwks_uri
        return (await _discovered(declared.issuer)).jwks_uri

    return TrustedIssuer(declared, PublishedKeys(place, locate), scopes)


def _check_server(declared: PairedServer, place: str, issuers: Collection[str]) -> None:
    _require(declared.issuer in issuers, f"{place}.issuer", "is no issuer of this file")
    try:
        base_url(declared.url)
    except FHIRServerError:
        _require(False, f"{place}.url", "not the base URL of a server that may be asked")
    for address in declared.addresses:
        try:
            ip_address(address)
        except ValueError:
            _require(False, f"{place}.addresses", "one is no IP address")
    _check_events(declared, place)


def _check_events(declared: PairedServer, place: str) -> None:
    """What a server needs for its events to be heard and its risks to be written back."""
    name, secret = declared.name, declared.subscription_secret_sha256
    _require(
        name is None or _SERVER_NAME.fullmatch(name) is not None,
        f"{place}.name",
        "not 1 to 64 small letters, digits and hyphens",
    )
    _require(
        secret is None or _SHA256.fullmatch(secret) is not None,
        f"{place}.subscription_secret_sha256",
        "not 64 hexadecimal digits",
    )
    _require(
        name is not None or not declared.takes_part_in_events,
        f"{place}.name",
        "is missing, which events and write_back need",
    )
    endpoint = declared.backend_token_endpoint
    _require(
        (declared.backend_client_id is None) == (endpoint is None),
        place,
        "needs both of backend_client_id and backend_token_endpoint, or neither",
    )
    _require(
        endpoint is None or safe_url(endpoint),
        f"{place}.backend_token_endpoint",
        "neither https nor on this machine",
    )
    _require(
        bool(_system_scopes(declared.backend_scopes, f"{place}.backend_scopes")),
        f"{place}.backend_scopes",
        "is empty",
    )


def _check_launch(declared: PairedServer, place: str, issuers: Mapping[str, TrustedIssuer]) -> None:
    if declared.client_id is None:
        for_launches = (
            declared.launch_roles,
            declared.openid_issuer,
            declared.client_authentication != "none",
        )
        # What is set for launches that never happen was meant to make them happen.
        _require(not any(for_launches), f"{place}.client_id", "is missing, and launches need it")
        return
    _require(bool(declared.client_id), f"{place}.client_id", "is empty")
    _require(declared.vouching in issuers, f"{place}.openid_issuer", "is no issuer of this file")
    _require(
        declared.client_id not in issuers[declared.vouching].declared.audiences,
        f"{place}.client_id",
        "equals the issuer's audience, so that an id token would pass for an access token",
    )
    _require(
        all(granted(ROLES[role].scopes, "RiskAssessment", "c") for role in declared.launch_roles),
        f"{place}.launch_roles",
        "one may not ask for a risk",
    )


def _registered(declared: Client, place: str, folder: Path) -> RegisteredClient:
    _require(bool(declared.client_id), f"{place}.client_id", "is empty")
    scopes = _system_scopes(declared.scopes, f"{place}.scopes")
    _require(bool(scopes), f"{place}.scopes", "is empty")
    _require(
        (declared.jwks_file is None) != (declared.jwks_uri is None),
        place,
        "needs jwks_file or jwks_uri, and not both",
    )
    if declared.jwks_file is not None:
        keys: KeySource = _on_file(folder / declared.jwks_file, f"{place}.jwks_file")
    else:
        address = declared.jwks_uri or ""
        _require(safe_url(address), f"{place}.jwks_uri", "neither https nor on this machine")

        async def locate() -> str:
            return address

        keys = PublishedKeys(place, locate)
    return RegisteredClient(declared.client_id, keys, scopes)


def _on_file(path: Path, place: str) -> RegisteredKeys:
    try:
        keys = PublicKeys(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"READMIT_ISSUERS: {place}: {error.strerror}") from None
    except ValueError:
        raise SettingsError(f"READMIT_ISSUERS: {place}: not a JWK Set") from None
    _require(keys.serve(CLIENT_ALGORITHMS), place, "holds no key for RS384 or ES384")
    return RegisteredKeys(keys)


def _system_scopes(text: str, place: str) -> tuple[Scope, ...]:
    scopes = tuple(parse_scope(word) for word in text.split())
    found = tuple(one for one in scopes if one is not None and one.context == "system")
    _require(len(found) == len(scopes), place, "one is no system/ scope")
    return found


def _require(holds: bool, place: str, what: str) -> None:
    if not holds:
        raise SettingsError(f"READMIT_ISSUERS: {place}: {what}")


def _unquoted(error: msgspec.ValidationError) -> str:
    """The library's message without the value that it quotes for a closed list."""
    text = str(error)
    if text.startswith("Invalid enum value"):
        return "a value that is not of its list" + text[text.rfind(" - at") :]
    return text
