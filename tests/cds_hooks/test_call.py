"""What an EHR must send, by the hook that it fires."""

import json
import uuid
from typing import Any

import pytest

from service.cds_hooks.call import HookCallError, read_call
from service.cds_hooks.services import SERVICES

DISCHARGE = SERVICES["readmission-risk-at-discharge"]
VIEW = SERVICES["readmission-risk"]
CANARY = "Quillfeather"


def call(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "hook": "encounter-discharge",
        "hookInstance": str(uuid.UUID(int=7)),
        "fhirServer": "https://ehr.example/fhir",
        "fhirAuthorization": {
            "access_token": CANARY,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "user/Patient.read",
            "subject": "readmit",
        },
        "context": {"userId": "Practitioner/p1", "patientId": "1", "encounterId": "e1"},
        "prefetch": {"patient": {"resourceType": "Patient", "id": "1"}},
    }
    return {**made, **changes}


def context(**changes: Any) -> dict[str, Any]:
    whole = {**call()["context"], **changes}
    return {name: value for name, value in whole.items() if value is not None}


def test_a_whole_call_is_read() -> None:
    read = read_call(json.dumps(call()).encode(), DISCHARGE)
    assert read.context.encounter_id == "e1"
    assert CANARY not in repr(read.fhir_authorization)


def test_elements_that_the_specification_does_not_name_are_passed_over() -> None:
    later = call(version="3.0", context=context(todayIs="Tuesday"), extension={"x": 1})
    assert read_call(json.dumps(later).encode(), DISCHARGE).hook == "encounter-discharge"


def test_a_chart_may_be_opened_outside_of_any_encounter_and_by_the_patient() -> None:
    made = call(hook="patient-view", context={"userId": "Patient/1", "patientId": "1"})
    assert read_call(json.dumps(made).encode(), VIEW).context.encounter_id is None


@pytest.mark.parametrize(
    ("changes", "element"),
    [
        ({"hook": "patient-view"}, "hook"),
        ({"hook": CANARY}, "hook"),
        ({"hook": 5}, "hook"),
        ({"hookInstance": CANARY}, "hookInstance"),
        ({"hookInstance": None}, "hookInstance"),
        ({"context": None}, "context"),
        ({"context": context(userId=None)}, "context.userId"),
        ({"context": context(userId="Patient/1")}, "context.userId"),
        ({"context": context(userId=f"Practitioner/{CANARY} x")}, "context.userId"),
        ({"context": context(userId="p1")}, "context.userId"),
        ({"context": context(patientId=None)}, "context.patientId"),
        ({"context": context(patientId="../1")}, "context.patientId"),
        ({"context": context(patientId="1?_count=9")}, "context.patientId"),
        ({"context": context(patientId="")}, "context.patientId"),
        ({"context": context(encounterId=None)}, "context.encounterId"),
        ({"context": context(encounterId="a/b")}, "context.encounterId"),
        ({"fhirServer": None}, "fhirServer"),
        ({"fhirAuthorization": {"access_token": CANARY}}, "fhirAuthorization.token_type"),
        (
            {"fhirAuthorization": {**call()["fhirAuthorization"], "token_type": CANARY}},
            "fhirAuthorization.token_type",
        ),
        ({"prefetch": [CANARY]}, "prefetch"),
    ],
)
def test_a_call_that_breaks_a_must_is_refused_by_the_element_and_not_quoted(
    changes: dict[str, Any], element: str
) -> None:
    with pytest.raises(HookCallError) as refused:
        read_call(json.dumps(call(**changes)).encode(), DISCHARGE)
    assert str(refused.value).startswith(f"{element}:")
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize("element", ["hook", "hookInstance", "context"])
def test_what_is_required_may_not_be_left_out(element: str) -> None:
    made = call()
    del made[element]
    with pytest.raises(HookCallError, match=f"^{element}: missing"):
        read_call(json.dumps(made).encode(), DISCHARGE)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"hook"', b"\xff"])
def test_what_is_no_call_is_refused(body: bytes) -> None:
    with pytest.raises(HookCallError):
        read_call(body, DISCHARGE)
