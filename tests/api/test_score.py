"""``POST /v1/score``: what a score must say, and what it must not."""

import copy
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from service import examples
from service.score import NotScored, Scored

Resource = Callable[[str], dict[str, Any]]


def numbers_in(answer: object) -> Iterator[float]:
    if isinstance(answer, dict):
        for value in answer.values():
            yield from numbers_in(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from numbers_in(value)
    elif isinstance(answer, int | float) and not isinstance(answer, bool):
        yield answer


def scored(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    assert content["status"] == "scored"
    return content


def test_the_documented_example_is_scored(client: Any) -> None:
    content = scored(client.score())
    assert content["subject"] == "example-patient"
    assert content["encounter_id"] == "example-stay"
    assert content["as_of"] == "2026-03-09T11:30:00+00:00"
    assert content["model"] == {"name": "linear", "version": "1", "run_id": "0000"}
    assert content["horizon_days"] == 30
    msgspec.convert(content, Scored | NotScored)


def test_reasons_the_rest_and_the_baseline_add_up_to_the_risk_shown(client: Any) -> None:
    content = scored(client.score())
    total = (
        content["baseline_log_odds"]
        + sum(reason["contribution"] for reason in content["reasons"])
        + content["other_contributions"]
    )
    assert math.isclose(total, content["log_odds"], abs_tol=1e-9)
    assert math.isclose(
        content["probability"], 1 / (1 + math.exp(-content["log_odds"])), rel_tol=1e-12
    )


@pytest.mark.parametrize("most", [1, 3, 50])
def test_the_sum_holds_however_many_reasons_are_named(
    client_with: Callable[..., Any], most: int
) -> None:
    content = scored(client_with(max_reasons=most).score())
    assert 1 <= len(content["reasons"]) <= most
    total = sum(reason["contribution"] for reason in content["reasons"])
    total += content["baseline_log_odds"] + content["other_contributions"]
    assert math.isclose(total, content["log_odds"], abs_tol=1e-9)


def test_the_strongest_reasons_come_first_and_six_are_named(client: Any) -> None:
    reasons = scored(client.score())["reasons"]
    weights = [abs(reason["contribution"]) for reason in reasons]
    assert len(reasons) == 6
    assert weights == sorted(weights, reverse=True)


def test_a_reason_tells_finding_direction_date_and_evidence(
    client_with: Callable[..., Any],
) -> None:
    reasons = scored(client_with(max_reasons=50).score())["reasons"]
    sodium = next(reason for reason in reasons if reason["feature"] == "sodium_latest")
    assert sodium["phrase"] == "sodium 131 mmol/L on 2026-03-09"
    assert sodium["value"] == 131.0
    assert sodium["unit"] == "mmol/L"
    assert sodium["date"] == "2026-03-09"
    assert sodium["direction"] == "raises"
    assert sodium["evidence"] == ["Observation/example-sodium"]
    assert sodium["evidence_count"] == 1
    assert sodium["changeable"] is True
    for reason in reasons:
        assert (reason["direction"] == "raises") == (reason["contribution"] > 0)
        assert reason["contribution"] != 0


def test_at_most_five_records_are_named_and_all_are_counted(
    client_with: Callable[..., Any], bundle: dict[str, Any], resource: Resource
) -> None:
    earlier = resource("example-earlier-stay")
    for month in range(4, 12):
        again = json.loads(json.dumps(earlier)) | {
            "id": f"stay-{month}",
            "period": {
                "start": f"2025-{month:02}-03T10:00:00Z",
                "end": f"2025-{month:02}-05T10:00:00Z",
            },
        }
        bundle["entry"].append({"resource": again})
    reasons = scored(client_with(max_reasons=50).score(bundle))["reasons"]
    counted = next(
        reason for reason in reasons if reason["phrase"] == "9 hospital stays in the year before"
    )
    assert counted["evidence_count"] == 9
    assert len(counted["evidence"]) == 5
    assert counted["evidence"][0] == "Encounter/example-earlier-stay"


def test_a_birth_date_is_not_given_as_the_date_of_a_reason(
    client_with: Callable[..., Any],
) -> None:
    answer = client_with(max_reasons=50).score()
    age = next(reason for reason in scored(answer)["reasons"] if reason["feature"] == "age")
    assert age["date"] is None
    assert "1948" not in answer.text


def test_nobody_is_named_in_an_answer(client: Any) -> None:
    text = client.score().text
    assert "Fictitious" not in text
    assert "Example" not in text


def test_several_inputs_missing_for_one_reason_are_one_finding(
    client_with: Callable[..., Any],
    bundle: dict[str, Any],
    resource: Resource,
    model: Any,
) -> None:
    bundle["entry"] = [
        entry for entry in bundle["entry"] if entry["resource"]["id"] != "example-sodium"
    ]
    content = scored(client_with(max_reasons=50).score(bundle))
    phrases = [reason["phrase"] for reason in content["reasons"]]
    assert len(phrases) == len(set(phrases))
    absent = next(
        missing
        for missing in content["missing_inputs"]
        if missing["phrase"] == "sodium not measured in this stay"
    )
    declared = {
        feature.name
        for feature in model.features
        if feature.phrases.missing == "sodium not measured in this stay"
    }
    assert set(absent["features"]) == declared
    assert len(declared) > 1


def test_an_input_that_no_tree_asks_for_is_not_missed(client: Any) -> None:
    missing = scored(client.score())["missing_inputs"]
    missed = {name for one in missing for name in one["features"]}
    assert "albumin_latest" in missed
    assert "lactate_maximum" not in missed  # the model of these tests does not use it


ABSURD = pytest.mark.parametrize("value", [1e39, -1e39, 1.7e308])


@ABSURD
def test_a_result_that_nobody_can_have_is_missing_and_not_used(
    client: Any, bundle: dict[str, Any], resource: Resource, value: float
) -> None:
    resource("example-sodium")["valueQuantity"]["value"] = value
    answer = client.score(bundle)
    missing = [one["phrase"] for one in scored(answer)["missing_inputs"]]
    assert "sodium not measured in this stay" in missing
    assert "e+" not in answer.text


@ABSURD
def test_a_number_that_no_tree_can_hold_is_refused_by_the_name_of_its_input(
    client_with: Callable[..., Any],
    bundle: dict[str, Any],
    resource: Resource,
    model: Any,
    value: float,
) -> None:
    # What training finds in the data is asked for by its code, and has no plausible range.
    sodium = next(feature for feature in model.features if feature.name == "sodium_latest")
    by_code = copy.copy(model)
    by_code.features = tuple(
        msgspec.structs.replace(feature, name="found_in_data", of="code:LOINC|2951-2")
        if feature is sodium
        else feature
        for feature in model.features
    )
    resource("example-sodium")["valueQuantity"]["value"] = value
    answer = client_with(by_code).score(bundle)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("found_in_data: ")
    assert "e+" not in answer.text


def test_an_old_result_is_reported_as_stale(
    client: Any, bundle: dict[str, Any], resource: Resource
) -> None:
    assert scored(client.score())["stale_inputs"] == []
    sodium = resource("example-sodium")
    sodium["effectiveDateTime"] = sodium["issued"] = "2026-03-02T12:00:00Z"
    (stale,) = scored(client.score(bundle))["stale_inputs"]
    assert stale == {
        "feature": "sodium_latest",
        "phrase": "sodium 131 mmol/L on 2026-03-02",
        "date": "2026-03-02",
        "days": 6,
    }


def test_the_risk_is_set_beside_the_average(client: Any) -> None:
    content = scored(client.score())
    comparison = content["comparison"]
    assert comparison["reference_risk"] == 0.125
    assert math.isclose(comparison["ratio"], content["probability"] / 0.125)
    assert "average" in comparison["phrase"]


def test_lace_and_hospital_stand_beside_the_risk(client: Any) -> None:
    content = scored(client.score())
    for score in ("lace", "hospital"):
        items = content[score]["items"]
        assert sum(item["points"] for item in items) == content[score]["points"]
    assert content["lace"]["name"] == "LACE"
    assert content["hospital"]["name"] == "HOSPITAL"


def test_what_is_recorded_later_is_not_used(client_with: Callable[..., Any]) -> None:
    client = client_with(max_reasons=50)
    content = scored(client.score(as_of="2026-03-04T12:00:00Z"))
    assert content["as_of"] == "2026-03-04T12:00:00+00:00"
    assert "example-sodium" not in json.dumps(content)


def test_as_of_reads_any_offset_and_gives_the_moment_by_the_hospitals_clock(client: Any) -> None:
    one = client.score(as_of="2026-03-08T12:00:00Z").json()
    other = client.score(as_of="2026-03-08T17:30:00+05:30").json()
    assert one.pop("score_id") != other.pop("score_id")
    assert one == other
    assert one["as_of"] == "2026-03-08T12:00:00+00:00"


def test_the_latest_stay_is_taken_that_has_begun(client: Any) -> None:
    assert scored(client.score())["encounter_id"] == "example-stay"
    earlier = client.score(as_of="2025-12-10T00:00:00Z").json()
    assert earlier["encounter_id"] == "example-earlier-stay"


@pytest.mark.parametrize("asked", ["example-earlier-stay", "Encounter/example-earlier-stay"])
def test_a_stay_can_be_chosen_by_its_encounter(client: Any, asked: str) -> None:
    content = client.score(encounter_id=asked).json()
    assert content["encounter_id"] == "example-earlier-stay"
    assert content["as_of"] == "2025-12-06T10:00:00+00:00"


def test_a_stay_that_goes_on_is_scored_as_of_now(
    client: Any, bundle: dict[str, Any], resource: Resource
) -> None:
    stay = resource("example-stay")
    stay["status"] = "in-progress"
    del stay["period"]["end"]
    del stay["hospitalization"]
    content = scored(client.score(bundle))
    assert content["as_of"] > "2026-03-09"


@pytest.mark.parametrize(
    ("disposition", "code"),
    [("exp", "died"), ("aadvice", "against_advice"), ("hosp", "hospice")],
)
def test_outside_the_intended_population_there_is_a_reason_and_no_number(
    client: Any, bundle: dict[str, Any], resource: Resource, disposition: str, code: str
) -> None:
    coding = resource("example-stay")["hospitalization"]["dischargeDisposition"]["coding"]
    coding[0]["code"] = disposition
    answer = client.score(bundle)
    assert answer.status_code == 200
    content = answer.json()
    assert content["status"] == "not_scored"
    assert content["reason"]["code"] == code
    assert content["reason"]["sentence"].endswith(".")
    assert list(numbers_in(content)) == []
    assert not {"probability", "band", "log_odds", "lace", "hospital"} & set(content)


def test_a_child_is_not_scored(client: Any, bundle: dict[str, Any], resource: Resource) -> None:
    resource("example-patient")["birthDate"] = "2015-02-03"
    content = client.score(bundle).json()
    assert content["reason"]["code"] == "child"
    assert list(numbers_in(content)) == []


def test_what_could_not_be_read_is_said(client: Any, bundle: dict[str, Any]) -> None:
    bundle["entry"].append(
        {
            "resource": {
                "resourceType": "Observation",
                "id": "broken",
                "status": "final",
                "code": {"coding": [{"system": "http://loinc.org", "code": "2951-2"}]},
                "subject": {"reference": "Patient/example-patient"},
                "valueQuantity": {"value": "CANARY-not-a-number"},
            }
        }
    )
    answer = client.score(bundle)
    (unread,) = scored(answer)["unread"]
    assert unread["element"].startswith("Bundle.entry[6]")
    assert "CANARY" not in answer.text


@pytest.mark.parametrize(
    ("left_out", "said"),
    [("Patient", "Birth date"), ("Encounter", "stay"), ("Medication", "Drugs")],
)
def test_what_the_record_refers_to_and_was_not_sent_is_said(
    client: Any, bundle: dict[str, Any], left_out: str, said: str
) -> None:
    assert client.score(bundle).json()["not_sent"] == []
    resources = [entry["resource"] for entry in bundle["entry"]]
    stay = next(each for each in resources if each["resourceType"] == "Encounter")
    subject = {"reference": "Patient/example-patient"}
    if left_out == "Patient":
        bundle["entry"] = [e for e in bundle["entry"] if e["resource"]["resourceType"] != "Patient"]
    elif left_out == "Encounter":
        observation = next(each for each in resources if each["resourceType"] == "Observation")
        elsewhere = {"encounter": {"reference": "Encounter/not-here"}, "id": "of-another-stay"}
        bundle["entry"].append({"resource": observation | elsewhere})
    else:
        order = {
            "resourceType": "MedicationRequest",
            "id": "example-order",
            "status": "active",
            "intent": "order",
            "medicationReference": {"reference": "Medication/not-here"},
            "subject": subject,
            "encounter": {"reference": f"Encounter/{stay['id']}"},
            "authoredOn": stay["period"]["start"],
        }
        bundle["entry"].append({"resource": order})
    (found,) = client.score(bundle).json()["not_sent"]
    assert found["resource_type"] == left_out
    assert said in found["consequence"]


def test_a_value_beyond_all_numbers_is_not_read(client: Any) -> None:
    body = json.dumps(examples.BUNDLE).replace('"value": 131', '"value": 1e999')
    answer = client.score(body.encode())
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        assert answer.json()["unread"]
        assert "Observation/example-sodium" not in answer.text


def test_no_answer_holds_a_number_that_json_has_no_word_for(client: Any) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(client.score().text, parse_constant=refuse)


def test_the_example_in_the_documentation_adds_up() -> None:
    example = examples.SCORED
    total = example.baseline_log_odds + example.other_contributions
    total += sum(reason.contribution for reason in example.reasons)
    assert math.isclose(total, example.log_odds, abs_tol=1e-9)
    assert math.isclose(example.probability, 1 / (1 + math.exp(-example.log_odds)), rel_tol=1e-9)
    assert example.comparison is not None
    assert math.isclose(example.comparison.ratio or 0, example.probability / 0.125, rel_tol=1e-9)
    for score in (example.lace, example.hospital):
        assert sum(item.points for item in score.items) == score.points
