"""Where the demo's parts find each other: all on loopback, all made anew at each start."""

import secrets
from pathlib import Path
from typing import Final, NamedTuple

APP_CLIENT: Final = "readmit-smart-app"
"""What the EHR calls our SMART app."""
PEOPLE_CLIENT: Final = "readmit-pages"
"""What its OpenID provider calls our service, where people sign in."""
BACKEND_CLIENT: Final = "readmit-backend"
"""What it calls our service when it writes back (SMART Backend Services)."""
SERVER: Final = "demo-ehr"
"""What the operator's file calls the FHIR server."""


class Plan(NamedTuple):
    """The addresses of one run of the demo, and the one secret that its two parts share."""

    records: Path
    """Folder of the simulated hospital's NDJSON files."""
    ehr: str
    """Scheme, host and port of the EHR."""
    service: str
    """Scheme, host and port of the readmit service."""
    subscription_secret: str
    """What the EHR shows with each notification; the service knows its hash."""
    started: str
    """A word of this start. What cards were shown is the service's to remember, by EHR; all that
    this EHR knows ends with it, so that it comes back as another one."""

    @property
    def fhir(self) -> str:
        """The FHIR server's base URL; ``iss`` of a SMART launch as well."""
        return f"{self.ehr}/fhir"

    @property
    def people(self) -> str:
        """The OpenID provider."""
        return f"{self.ehr}/people"

    @property
    def hooks(self) -> str:
        """Who signs the calls of CDS Hooks."""
        return f"{self.ehr}/hooks/{self.started}"

    @property
    def subscription(self) -> str:
        """The id of the Subscription: another one at each start, as its events are counted anew."""
        return f"{SERVER}-{self.started}"

    @property
    def token_endpoint(self) -> str:
        """Where apps and systems get access to the FHIR server."""
        return f"{self.fhir}/auth/token"

    @property
    def service_port(self) -> int:
        """The port that the service is to listen on."""
        return int(self.service.rpartition(":")[2])


def new_plan(records: Path, ehr_port: int, service_port: int) -> Plan:
    """The plan of a run on two ports of this machine."""
    return Plan(
        records=records,
        ehr=f"http://127.0.0.1:{ehr_port}",
        service=f"http://127.0.0.1:{service_port}",
        subscription_secret=secrets.token_urlsafe(32),
        started=secrets.token_hex(4),
    )
