"""What an operator sets, each with the environment variable ``READMIT_<NAME>``."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from fhir_mappings.errors import ReadmitError
from service.surroundings.addresses import HostNames, Networks, Origins


class SettingsError(ReadmitError):
    """A setting is malformed, or would expose the service where it must not be."""

    exit_code = 2
    title = "Settings"


class Settings(BaseSettings):
    """The settings of the service, with defaults that suit a first look on one machine."""

    model_config = SettingsConfigDict(env_prefix="READMIT_", frozen=True)

    mlruns: Path = Field(
        default=Path("mlruns"), description="MLflow's home, where the champion is found."
    )
    risk_model: Path | None = Field(
        default=None,
        description="Folder of a risk model to serve instead of the registry's champion.",
    )
    profile: str | None = Field(
        default=None, description="Name or file of the site profile; the model's own by default."
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on. One that others can reach needs TLS.",
    )
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one."
    )
    body_limit: int = Field(
        default=20_000_000, ge=1_000, description="Largest request body in bytes; above it, 413."
    )
    max_reasons: int = Field(
        default=6, ge=1, le=50, description="How many reasons a score names; the rest is summed up."
    )
    store: Path = Field(default=Path("store"), description="The event store that the commands use.")
    development: bool = Field(
        default=False,
        description="Answer everybody who reaches this machine's own address, as a developer with "
        "all roles. On loopback alone, and never for real patients.",
    )
    database: str = Field(
        default="sqlite:///readmit.db",
        description="URL of the service's own database: SQLite, or postgresql://.",
        repr=False,
    )
    key_file: Path | None = Field(
        default=None,
        description="File of the keys that identifiers are sealed with (`readmit keys new`). In "
        "development mode one is made beside the database.",
    )
    keys: SecretStr | None = Field(
        default=None, description="The content of a key file, instead of the file."
    )
    audit_anchor: Path | None = Field(
        default=None,
        description="File that the end of the audit's chain is anchored in; keep it on another "
        "disk than the database. By default beside the SQLite file, or in the working folder.",
    )
    allowed_hosts: HostNames = Field(
        default=(),
        description="Further names that the service answers to in a Host header, between commas.",
    )
    trusted_proxies: Networks = Field(
        default=(),
        description="Addresses or networks of the proxies whose X-Forwarded-For is believed, "
        "between commas. None by default.",
    )
    tls_certificate: Path | None = Field(
        default=None, description="PEM file of the certificate chain to serve HTTPS with."
    )
    tls_key: Path | None = Field(
        default=None, description="PEM file of the certificate's private key, without a passphrase."
    )
    tls_ends_at_proxy: bool = Field(
        default=False,
        description="That a proxy in front encrypts, and nobody else reaches the service's port.",
    )
    cors_origins: Origins = Field(
        default=(),
        description="Origins whose pages may ask with a token of their own (CORS), between commas. "
        "None by default; never with cookies.",
    )
    requests_per_minute: int = Field(
        default=600, ge=1, description="Requests a minute of one caller; above it, 429."
    )
    failed_identifications_per_minute: int = Field(
        default=60,
        ge=1,
        description="Requests a minute of one address that fail to identify themselves; above it, "
        "everything from that address is answered 429.",
    )
    break_glass_minutes: int = Field(
        default=60,
        ge=1,
        le=720,
        description="How long a patient stays open to somebody who broke the glass.",
    )
    issuers: Path | None = Field(
        default=None,
        description="TOML file of whom to trust: OpenID Connect issuers and client systems.",
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^(https://[a-z0-9.-]+|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?$",
        description="Scheme, host and port that callers and browsers reach the service by, as "
        "`https://readmit.example.org`; its own tokens are issued and addressed with it. By "
        "default the address that it listens on.",
    )
    opt_out: Path | None = Field(
        default=None,
        description="File of the patients who opted out, one id a line. They are neither scored "
        "nor listed nor learned from. It is read again whenever it changes.",
    )
    database_password: SecretStr | None = Field(
        default=None,
        description="Password that the whole SQLite file is encrypted with (SQLCipher; needs the "
        "extra `sqlcipher`), or that of the PostgreSQL user.",
    )
    database_password_file: Path | None = Field(
        default=None, description="File of that password, instead of the variable."
    )
    promotion_key: Path | None = Field(
        default=None,
        description="Public key (PEM) that the record of promotions must be signed with, kept "
        "apart from it. Without one, the key beside the record is believed.",
    )
    model_trial_seconds: int = Field(
        default=60,
        ge=1,
        description="How long a child process may take to try a risk model before it is served.",
    )
    keep_scores_days: int = Field(
        default=365, ge=1, description="How long `readmit purge` leaves scores that were given."
    )
    keep_broken_glass_days: int = Field(
        default=2_192,
        ge=1,
        description="How long `readmit purge` leaves the reasons for breaking the glass; the audit "
        "that it was broken is never deleted.",
    )
    session_idle_minutes: int = Field(
        default=15, ge=1, le=60, description="Minutes unused after which a browser's session ends."
    )
    session_hours: int = Field(
        default=8, ge=1, le=24, description="Hours after which a browser's session ends anyway."
    )
    playbook: Path | None = Field(
        default=None,
        description="TOML file of what the site shows as a card and suggests for which driver; the "
        "shipped one by default. It is checked when the service starts.",
    )
    fhir_deadline_seconds: float = Field(
        default=2.0,
        gt=0,
        le=10,
        description="How long a CDS Hooks call waits for what the EHR's own FHIR server is asked; "
        "after it, 412.",
    )
    keep_follow_ups_days: int = Field(
        default=365,
        ge=1,
        description="How long `readmit purge` leaves a follow-up after its last change, with all "
        "changes and notes before it.",
    )
    launch_deadline_seconds: float = Field(
        default=10.0,
        gt=0,
        le=60,
        description="How long a launch from an EHR waits for the patient's records; after it, a "
        "score that is kept is shown, or else an error.",
    )
    frame_ancestors: Origins = Field(
        default=(),
        description="Origins of EHRs whose pages may show a patient's page within them (an "
        "iframe), between commas. None by default; no other page can be framed.",
    )

    @property
    def mode(self) -> Literal["development", "normal"]:
        """How callers are treated."""
        return "development" if self.development else "normal"

    @property
    def own_url(self) -> str:
        """The URL that callers know the service by."""
        return self.public_url or f"http://127.0.0.1:{self.port}"


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: naming each variable that is not valid, never its value.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = [
            f"READMIT_{'.'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise SettingsError("; ".join(faults)) from None
