"""What the operator of the service would write about this EHR: its file of trusted issuers.

It is the one place where both sides meet, and the demo's only file: public addresses and the hash
of a secret, no key.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from service.demo_ehr.people import ROLES
from service.demo_ehr.plan import APP_CLIENT, BACKEND_CLIENT, PEOPLE_CLIENT, SERVER, Plan
from service.demo_ehr.signing import ALGORITHM


def write_issuers(plan: Plan, path: Path) -> None:
    """Write the file that READMIT_ISSUERS names."""
    content = _toml(issuers(plan)).encode()
    # For the operator alone, from its first byte on.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123  of a descriptor
        file.write(content)


def issuers(plan: Plan) -> dict[str, Any]:
    """The file's content."""
    roles = [{"claim": "groups", "value": group, "role": role} for group, role in ROLES.items()]
    people = {
        "issuer": plan.people,
        "audience": "readmit",
        "algorithms": [ALGORITHM],
        "client_id": PEOPLE_CLIENT,
        "units_claim": "units",
        "role": roles,
    }
    hooks = {
        "issuer": plan.hooks,
        "audience_is_url": True,
        "algorithms": [ALGORITHM],
        "jwks_uri": f"{plan.hooks}/jwks",
        "single_use": True,
        "system_scopes": "system/RiskAssessment.c",
    }
    launches = {
        "issuer": plan.fhir,
        "audience": plan.service,
        "algorithms": [ALGORITHM],
        "jwks_uri": f"{plan.fhir}/auth/jwks",
        "authorization_endpoint": f"{plan.fhir}/auth/authorize",
        "token_endpoint": plan.token_endpoint,
        "units_claim": "units",
        "role": roles,
    }
    server = {
        "url": plan.fhir,
        "issuer": plan.hooks,
        "addresses": ["127.0.0.1"],
        "name": SERVER,
        "subscription_secret_sha256": hashlib.sha256(plan.subscription_secret.encode()).hexdigest(),
        "backend_client_id": BACKEND_CLIENT,
        "backend_token_endpoint": plan.token_endpoint,
        "write_back": True,
        "client_id": APP_CLIENT,
        "openid_issuer": plan.fhir,
    }
    return {"issuer": [people, hooks, launches], "fhir_server": [server]}


def _toml(content: dict[str, list[dict[str, Any]]]) -> str:
    """Tables as TOML: of what is in ours, JSON and TOML write values alike."""
    written: list[str] = []
    for name, tables in content.items():
        for table in tables:
            within = {key: value for key, value in table.items() if key == "role"}
            written.append(f"[[{name}]]")
            written += [
                f"{key} = {json.dumps(value)}" for key, value in table.items() if key != "role"
            ]
            for rule in within.get("role", ()):
                written.append(f"[[{name}.role]]")
                written += [f"{key} = {json.dumps(value)}" for key, value in rule.items()]
    return "\n".join(written) + "\n"
