"""Running the service on this machine."""

from typing import Any, Final

import uvicorn

from service.app import create_app
from service.identity.issuers import read_trusted
from service.serving import load_model, profile_of
from service.settings import Settings, SettingsError

LOOPBACK: Final = {"127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1", "::1": "::1"}
"""The hosts that may be listened on, each with the address that it stands for."""

LOGGING: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "readmit": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}
"""One line an event, on standard error."""


def serve(settings: Settings) -> None:
    """Run the service until it is stopped.

    Model and profile are loaded before the port is opened, so that whoever starts the service
    learns at once that one is amiss. The server's own access log is off: it writes query strings,
    and they hold identifiers; ``service.middleware`` writes a line without them.

    Raises:
        SettingsError: if the host is not this machine's own. Callers are not identified yet, so
            that whoever reaches the service could ask it. Or if READMIT_ISSUERS is not valid.
        RiskModelError: if there is no risk model, or it is not the one its manifest describes.
        SiteProfileError: if there is no such site profile.
    """
    address = LOOPBACK.get(settings.host)
    if address is None:
        raise SettingsError(
            "READMIT_HOST: the service does not identify its callers yet, and listens on "
            "127.0.0.1 or ::1 alone"
        )
    model = load_model(settings)
    profile_of(settings, model)
    read_trusted(settings)
    app = create_app(settings, model)
    uvicorn.run(
        app,
        host=address,
        port=settings.port,
        access_log=False,
        log_config=LOGGING,
        proxy_headers=False,
        server_header=False,
    )
