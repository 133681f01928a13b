"""A score as FHIR: valid, a fraction, of the right days, and with the records it rests on."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fhir.resources.R4B.riskassessment import RiskAssessment
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service import examples
from service.fhir_out.risk_assessment import device, device_id, flag, provenance, risk_assessment
from service.score import ModelIdentity, Scored

SCORED = examples.ANSWERS["scored"]
assert isinstance(SCORED, Scored)
NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)


def plain(resource: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(resource.model_dump_json())
    return content


@given(st.floats(0, 1), st.sampled_from(["low", "moderate", "high"]))
def test_a_probability_is_a_fraction_and_never_per_cent(probability: float, band: str) -> None:
    made = plain(risk_assessment(replace(SCORED, probability=probability, band=band), "s1"))
    RiskAssessment.model_validate(made)
    written = made["prediction"][0]["probabilityDecimal"]
    assert abs(written - probability) <= 1e-6
    assert written <= 1


def test_a_risk_of_nought_is_written_too() -> None:
    made = plain(risk_assessment(replace(SCORED, probability=0.0), "s1"))
    assert made["prediction"][0]["probabilityDecimal"] == 0


def test_it_says_whose_risk_of_what_when_by_whom_and_on_which_records() -> None:
    made = plain(risk_assessment(SCORED, "s1"))
    assert made["subject"]["reference"] == f"Patient/{SCORED.subject}"
    assert made["encounter"]["reference"] == f"Encounter/{SCORED.encounter_id}"
    assert made["performer"]["reference"] == f"Device/{device_id(SCORED.model)}"
    assert {"reference": "Observation/example-sodium"} in made["basis"]
    assert made["meta"]["security"][0]["code"] == "AIAST"
    period = made["prediction"][0]["whenPeriod"]
    begin, end = (datetime.fromisoformat(period[name]) for name in ("start", "end"))
    assert begin == datetime.fromisoformat(SCORED.as_of)
    assert end - begin == timedelta(days=SCORED.horizon_days)


def test_a_score_without_reasons_is_still_valid() -> None:
    made = plain(risk_assessment(replace(SCORED, reasons=(), comparison=None), "s1"))
    assert "basis" not in made
    assert "rationale" not in made["prediction"][0]


def test_provenance_leads_to_the_device_the_model_card_and_the_evidence() -> None:
    made = plain(provenance(SCORED, "s1", "https://readmit.example/v1/model", NOW))
    assert made["target"] == [{"reference": "RiskAssessment/s1"}]
    assert made["reason"][0]["coding"][0]["code"] == "AIAST"
    assert made["agent"][0]["who"]["reference"] == f"Device/{device_id(SCORED.model)}"
    roles = {entity["role"] for entity in made["entity"]}
    assert roles == {"instantiates", "source"}
    assert made["entity"][0]["what"]["reference"] == "#model-card"
    (card,) = made["contained"]
    assert (card["resourceType"], card["id"]) == ("DocumentReference", "model-card")
    assert card["content"][0]["attachment"]["url"] == "https://readmit.example/v1/model"


@pytest.mark.parametrize(("band", "flagged"), [("low", False), ("moderate", False), ("high", True)])
def test_only_a_high_risk_flags_the_chart(band: str, flagged: bool) -> None:
    made = flag(replace(SCORED, band=band), "s1")
    assert (made is not None) is flagged
    if made is not None:
        assert plain(made)["period"]["end"] > plain(made)["period"]["start"]


@pytest.mark.parametrize("name", ["readmit", "a model/with: odd|letters\u00e9", "x" * 90])
def test_a_device_id_is_one_that_fhir_allows(name: str) -> None:
    made = plain(device(ModelIdentity(name, "3", None)))
    assert 1 <= len(made["id"]) <= 64
    assert made["version"][0]["value"] == "3"
