"""A patient who said no is not scored, and the answer tells nothing else of the record."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fhir_mappings.eligibility import REASONS
from fhir_mappings.errors import OptOutError
from service.database.audit_entries import entries
from service.score import NotScored

Bundle = dict[str, Any]
Start = Callable[..., Any]

CONSENT: Bundle = {
    "resourceType": "Consent",
    "id": "example-refusal",
    "status": "active",
    "scope": {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/consentscope",
                "code": "patient-privacy",
            }
        ]
    },
    "patient": {"reference": "Patient/example-patient"},
    "dateTime": "2026-03-10",
    "provision": {"type": "deny"},
}


pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def opt_out(tmp_path: Path) -> Path:
    path = tmp_path / "opt-out.csv"
    path.write_text("patient_id\nsomebody-else\n", encoding="utf-8")
    return path


def told(answer: Any) -> str:
    """The status of an answer; of one that is not scored, that it says why and nothing more."""
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    if content["status"] == "not_scored":
        assert content["reason"] == {"code": "opted_out", "sentence": REASONS["opted_out"]}
        assert set(content) <= {
            "status", "subject", "encounter_id", "as_of", "reason", "model", "unread", "not_sent",
            "score_id",
        }  # fmt: skip
        assert not content.get("unread")
        assert not content.get("not_sent")
        msgspec.convert(content, NotScored)
    return str(content["status"])


def untidy(bundle: Bundle) -> Bundle:
    """With a record that cannot be read, and one that refers to what was not sent."""
    entries = bundle["entry"]
    entries.append({"resource": {"resourceType": "Observation", "id": 7}})
    entries.append(
        {
            "resource": {
                "resourceType": "MedicationRequest",
                "id": "m",
                "status": "active",
                "intent": "order",
                "subject": {"reference": "Patient/example-patient"},
                "medicationReference": {"reference": "Medication/absent"},
                "authoredOn": "2026-03-08T10:00:00Z",
            }
        }
    )
    return bundle


def test_the_consent_of_a_bundle_that_refuses_is_heeded(client: Any, bundle: Bundle) -> None:
    """It was given after the discharge that the score would be about."""
    untidy(bundle)["entry"].append({"resource": CONSENT})
    assert told(client.score(bundle)) == "not_scored"
    bundle["entry"][-1] = {"resource": CONSENT | {"status": "inactive"}}
    assert told(client.score(bundle)) == "scored"
    research = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH"}
    only = CONSENT | {"provision": {"type": "deny", "purpose": [research]}}
    bundle["entry"][-1] = {"resource": only}
    assert told(client.score(bundle)) == "scored"


def test_an_opt_out_takes_effect_without_a_restart(
    client_with: Start, bundle: Bundle, opt_out: Path
) -> None:
    client = client_with(opt_out=opt_out)
    assert told(client.score(bundle)) == "scored"
    opt_out.write_text("patient_id\nsomebody-else\nexample-patient\n", encoding="utf-8")
    assert told(client.score(untidy(bundle))) == "not_scored"


def test_a_list_that_is_lost_is_answered_with_503_and_no_score(
    client_with: Start, bundle: Bundle, opt_out: Path
) -> None:
    client = client_with(opt_out=opt_out)
    opt_out.unlink()
    answer = client.score(bundle)
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:readmit:problem:opt-out"
    assert "probability" not in answer.text
    opt_out.write_text("nobody\n", encoding="utf-8")
    assert told(client.score(bundle)) == "scored"


def test_the_audit_says_that_the_patient_was_not_scored(
    client_with: Start, bundle: Bundle, opt_out: Path
) -> None:
    opt_out.write_text("example-patient\n", encoding="utf-8")
    client = client_with(opt_out=opt_out)
    client.score(bundle)
    with client.app.state.serving.keeping.database.reading() as connection:
        last = list(entries(connection))[-1]
    assert "not_scored" in str(last)


def test_the_service_does_not_start_on_a_list_that_cannot_be_read(
    client_with: Start, tmp_path: Path
) -> None:
    with pytest.raises(OptOutError, match=r"absent\.csv"):
        client_with(opt_out=tmp_path / "absent.csv")


def test_a_consent_that_cannot_be_read_is_named_and_nothing_else_of_the_record(
    client: Any, bundle: Bundle
) -> None:
    untidy(bundle)["entry"].append({"resource": CONSENT | {"provision": [{"type": "permit"}]}})
    place = len(bundle["entry"]) - 1
    content = client.score(bundle).json()
    code = "consent_unreadable"
    assert content["reason"] == {"code": code, "sentence": REASONS[code]}
    assert [one["element"] for one in content["unread"]] == [
        f"Bundle.entry[{place}].Consent.provision"
    ]
    assert not content.get("not_sent")
    assert "probability" not in content
    bundle["entry"][-1] = {"resource": CONSENT | {"provision": {"type": "permit"}}}
    assert told(client.score(bundle)) == "scored"
