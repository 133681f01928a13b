"""Running the service: on this machine alone, or for others who identify themselves."""

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Final

import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.identity.issuers import read_trusted
from service.observing import logs
from service.observing.logs import Happening, logger
from service.serving import load_model, profile_of
from service.settings import Settings, SettingsError
from service.surroundings.exposure import Exposure, exposure_of
from service.surroundings.protocol import BoundedProtocol

BANNER: Final = """
##########################################################################
##                                                                      ##
##   DEVELOPMENT MODE                                                   ##
##   Nobody is asked who they are: everybody on this machine may see    ##
##   and do everything. NEVER FOR REAL PATIENTS.                        ##
##                                                                      ##
##########################################################################

"""

_log = logger("readmit.serve")


def serve(settings: Settings) -> None:
    """Run the service until it is stopped.

    Whatever can be amiss is found before the port is opened, so that whoever starts the service
    learns it at once. The server's own access log is off: it writes query strings, and they hold
    identifiers; ``service.middleware`` writes a line without them.

    Raises:
        SettingsError: if others could reach the service without being identified or without
            encryption, if it cannot listen where it should, or READMIT_ISSUERS is not valid.
        RiskModelError: if there is no risk model, or it is not the one its manifest describes.
        SiteProfileError: if there is no such site profile.
        KeysError: if the operator's keys cannot be read.
        DatabaseError: if the database cannot be reached, or is at another version.
    """
    exposure = exposure_of(settings)
    logs.configure()
    model = load_model(settings)
    profile_of(settings, model)
    read_trusted(settings)
    app = create_app(settings, model)
    config = server_config(app, exposure)
    with _listening(exposure, settings.port) as listener, _runner(config) as runner:
        runner.run(_run(app, settings, exposure, uvicorn.Server(config), listener))


def server_config(app: FastAPI, exposure: Exposure) -> uvicorn.Config:
    """How the server runs ``app``: silent itself, and believing no header about who asks.

    Raises:
        SettingsError: if certificate and key cannot be read, or do not belong together.
    """
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        # Entered by ``_run``: the server would only log that it failed, and not why.
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        ssl_certfile=exposure.certificate,
        ssl_keyfile=exposure.key,
        ssl_context_factory=None if exposure.certificate is None else _modern,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError):
        raise SettingsError(
            "READMIT_TLS_CERTIFICATE, READMIT_TLS_KEY: not a certificate chain and its key in PEM "
            "that can be read without a passphrase"
        ) from None
    return config


async def _run(
    app: FastAPI,
    settings: Settings,
    exposure: Exposure,
    server: uvicorn.Server,
    listener: socket.socket,
) -> None:
    async with app.router.lifespan_context(app):
        if settings.development:
            sys.stderr.write(BANNER)
            sys.stderr.flush()
            _log.warning(Happening.DEVELOPMENT_MODE, mode=settings.mode)
        address, port = listener.getsockname()[:2]
        _log.info(
            Happening.SERVING,
            mode=settings.mode,
            address=address,
            port=port,
            https=exposure.certificate is not None,
        )
        await server.serve(sockets=[listener])
    _log.info(Happening.STOPPED)


def _modern(_: uvicorn.Config, usual: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """TLS 1.2 or later (RFC 8996 takes the earlier ones out of use), whatever the system allows."""
    context = usual()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _listening(exposure: Exposure, port: int) -> socket.socket:
    """Open the port here, and not in the server, which would log why it cannot as one of its own.

    Raises:
        SettingsError: if the address is not this machine's, or the port is taken.
    """
    try:
        family = socket.getaddrinfo(exposure.address, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((exposure.address, port), family=family, backlog=2048)
    except OSError as error:
        raise SettingsError(
            f"READMIT_HOST, READMIT_PORT: cannot listen there: {error.strerror}"
        ) from None


def _runner(config: uvicorn.Config) -> asyncio.Runner:
    return asyncio.Runner(loop_factory=config.get_loop_factory())
