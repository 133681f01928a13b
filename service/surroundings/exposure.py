"""Where the service may be reached from, decided before a port is opened."""

from pathlib import Path
from typing import Final, NamedTuple

from service.settings import Settings, SettingsError
from service.surroundings.addresses import host_of_url

LOOPBACK: Final = {"127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1", "::1": "::1"}
"""This machine's own hosts, each with the address that it stands for."""


class Exposure(NamedTuple):
    """What the service listens on."""

    address: str
    certificate: Path | None
    key: Path | None

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.address in LOOPBACK.values()


def exposure_of(settings: Settings) -> Exposure:
    """Say where to listen, or why the settings would expose the service.

    Raises:
        SettingsError: naming the setting. In development mode, if others could reach the service;
            else if it could identify nobody, if tokens would travel in the clear, or if it would
            not know its own name.
    """
    address = LOOPBACK.get(settings.host, settings.host)
    certificate, key = settings.tls_certificate, settings.tls_key
    if (certificate is None) != (key is None):
        raise SettingsError("READMIT_TLS_CERTIFICATE, READMIT_TLS_KEY: one needs the other")
    for name, file in (("CERTIFICATE", certificate), ("KEY", key)):
        if file is not None and not file.is_file():
            raise SettingsError(f"READMIT_TLS_{name}: there is no such file")
    exposure = Exposure(address, certificate, key)
    if settings.development:
        _check_development(settings, exposure)
    else:
        _check_normal(settings, exposure)
    return exposure


def _check_development(settings: Settings, exposure: Exposure) -> None:
    if not exposure.loopback:
        raise SettingsError(
            "READMIT_HOST: in development mode everybody who reaches the service is answered, so "
            "that it listens on 127.0.0.1 or ::1 alone"
        )
    if settings.trusted_proxies:
        raise SettingsError(
            "READMIT_TRUSTED_PROXIES: a proxy would let others in, and in development mode "
            "everybody is answered"
        )


def _check_normal(settings: Settings, exposure: Exposure) -> None:
    if settings.issuers is None:
        raise SettingsError(
            "READMIT_ISSUERS: without issuers of tokens nobody could be identified. Name the file "
            "of your OpenID issuers; or, to try the service on this machine with records that are "
            "nobody's, start it with --development"
        )
    public = None if settings.public_url is None else host_of_url(settings.public_url)
    if settings.public_url is not None and public is None:
        raise SettingsError("READMIT_PUBLIC_URL: not a URL with a host")
    if exposure.loopback:
        return
    if not exposure.address:
        raise SettingsError("READMIT_HOST: empty; 0.0.0.0 or :: stands for every address")
    if exposure.certificate is None and not settings.tls_ends_at_proxy:
        raise SettingsError(
            "READMIT_HOST: others can reach this address, and tokens and records would travel "
            "unencrypted. Set READMIT_TLS_CERTIFICATE and READMIT_TLS_KEY, or "
            "READMIT_TLS_ENDS_AT_PROXY=true if a proxy encrypts"
        )
    if public is None and not settings.allowed_hosts:
        raise SettingsError(
            "READMIT_PUBLIC_URL: a service that others reach answers to its own name alone; "
            "say which it is"
        )
