"""What an operator sets, each with the environment variable ``READMIT_<NAME>``."""

from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from fhir_mappings.errors import ReadmitError


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
        default="127.0.0.1", description="Address to listen on; loopback alone is allowed."
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
    session_idle_minutes: int = Field(
        default=15, ge=1, le=60, description="Minutes unused after which a browser's session ends."
    )
    session_hours: int = Field(
        default=8, ge=1, le=24, description="Hours after which a browser's session ends anyway."
    )

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
