"""Who a stay is about, as a person reads it; what a record does not say is None."""

import numpy as np
import pandas as pd
import pytest
from records import concept, encounter, ingested, lab, left_for, ndjson, patient, timeline

from fhir_mappings.attributes import ATTRIBUTES, attributes
from fhir_mappings.features.declaration import declared_features
from fhir_mappings.features.engine import View
from fhir_mappings.profiles import load_profile
from fhir_mappings.store import open_store
from training.cohort.selection import CohortRules
from training.dataset import study_data
from training.study_records import number_of
from training.vocabulary import VocabularyRules

US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"


def categories(facet, *codes):
    parts = [{"url": "ombCategory", "valueCoding": {"code": code}} for code in codes]
    return {"extension": [{"url": US_CORE + facet, "extension": parts}]}


def speaks(*codes, preferred=None):
    return {
        "communication": [
            {"language": concept("urn:ietf:bcp:47", code)}
            | ({"preferred": True} if code == preferred else {})
            for code in codes
        ]
    }


def insured(name, payer, start=None, end=None, **elements):
    period = {key: day for key, day in (("start", start), ("end", end)) if day}
    return {
        "resourceType": "Coverage",
        "id": name,
        "status": "active",
        "beneficiary": {"reference": "Patient/ada"},
        "type": {"text": payer},
        "period": period,
        "payor": [{"display": payer}],
    } | elements


def of(*resources, who=None, **stay):
    """The attributes of a stay from 1 to 5 March 2024."""
    index = encounter("index", 0, 4, **stay)
    whole = timeline(who or patient(), index, *resources)
    (one,) = [stay for stay in whole.stays if "index" in stay.encounters]
    return attributes(View(whole, one, one.end))


def test_a_record_that_says_nothing_gives_nothing():
    bare = of(who={"resourceType": "Patient", "id": "ada"})
    assert bare == dict.fromkeys(ATTRIBUTES)


@pytest.mark.parametrize(
    ("gender", "sex"),
    [("female", "female"), ("male", "male"), ("other", "other"), ("unknown", None), (None, None)],
)
def test_sex_is_the_administrative_gender_and_unknown_is_no_group(gender, sex):
    assert of(who=patient(gender=gender))["sex"] == sex


@pytest.mark.parametrize(
    ("born", "band"),
    [
        ("2010-01-01", "under 18"),
        ("2006-02-28", "18 to 44"),
        ("1979-03-06", "18 to 44"),
        ("1979-02-27", "45 to 64"),
        ("1959-02-27", "65 to 74"),
        ("1949-02-27", "75 to 84"),
        ("1939-02-27", "85 and over"),
        ("1920-01-01", "85 and over"),
        ("2030-01-01", None),
        ("1880-01-01", None),
    ],
)
def test_age_bands_are_of_the_age_at_admission(born, band):
    assert of(who=patient(birthDate=born))["age_band"] == band


@pytest.mark.parametrize(
    ("codes", "race"),
    [
        (("2054-5",), "Black or African American"),
        (("2028-9",), "Asian"),
        (("2054-5", "2106-3"), "More than one race"),
        (("2106-3", "2106-3"), "White"),
        (("UNK",), None),
        (("ASKU", "2106-3"), "White"),
        ((), None),
    ],
)
def test_race_is_the_omb_category_by_its_name(codes, race):
    assert of(who=patient(**categories("race", *codes)))["race"] == race


@pytest.mark.parametrize(
    ("codes", "ethnicity"),
    [
        (("2135-2",), "Hispanic or Latino"),
        (("2186-5",), "Not Hispanic or Latino"),
        (("2135-2", "2186-5"), None),
        (("UNK",), None),
    ],
)
def test_ethnicity_is_one_of_two_and_a_contradiction_is_neither(codes, ethnicity):
    assert of(who=patient(**categories("ethnicity", *codes)))["ethnicity"] == ethnicity


@pytest.mark.parametrize(
    ("spoken", "language"),
    [
        (speaks("es"), "Spanish"),
        (speaks("en-US"), "English"),
        (speaks("zh-Hant-TW"), "Chinese"),
        (speaks("en-US", "en-GB"), "English"),
        (speaks("cy", "en", preferred="cy"), "Welsh"),
        (speaks("cy", "en"), None),
        (speaks("qaa"), "qaa"),
        (speaks("und"), None),
        ({}, None),
    ],
)
def test_language_is_the_preferred_one_without_its_region(spoken, language):
    assert of(who=patient(**spoken))["language"] == language


@pytest.mark.parametrize(
    ("coverages", "payer"),
    [
        ([insured("a", "Medicare", "2015-01-01")], "Medicare"),
        ([insured("a", "Medicaid", "2015-01-01", "2024-03-05")], "Medicaid"),
        ([insured("a", "Medicaid", "2015-01-01", "2024-03-04")], None),
        ([insured("a", "Medicare", "2024-03-06")], None),
        ([insured("a", "Medicare")], None),
        ([insured("a", "Testwood Mutual", "2015-01-01")], "other"),
        (
            [
                insured("a", "Aetna", "2020-01-01", order=2),
                insured("b", "Medicare", "2015-01-01", order=1),
            ],
            "Medicare",
        ),
        ([insured("a", "Medicare", "2015-01-01"), insured("b", "Aetna", "2020-01-01")], "private"),
        ([insured("a", "Medicare", "2015-01-01", status="entered-in-error")], None),
    ],
)
def test_the_payer_is_the_primary_one_in_force_at_the_discharge(coverages, payer):
    assert of(*coverages)["payer"] == payer


def test_the_site_is_the_one_that_discharged_the_patient():
    onward = encounter("onward", 4.1, 6, serviceProvider={"display": "North"})
    stay = {"serviceProvider": {"reference": "Organization/central"}}
    assert of(onward, **stay)["site"] == "North"
    assert of(encounter("onward", 4.1, 6), **stay)["site"] == "central"
    assert of()["site"] is None


@pytest.mark.parametrize(
    ("disposition", "went"),
    [("home", "home"), ("snf", "skilled nursing"), ("long", "long-term care"), ("zzz", None)],
)
def test_where_the_patient_went_reads_as_a_person_says_it(disposition, went):
    assert of(hospitalization=left_for(disposition))["discharge_to"] == went


def test_home_with_care_is_told_from_home():
    care = {
        "dischargeDisposition": concept("https://www.nubc.org/CodeSystem/PatDischargeStatus", "06")
    }
    assert of(hospitalization=care)["discharge_to"] == "home with care"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attributes")
    lines = []
    for number in range(8):
        who = f"p{number}"
        lines += [
            patient(who, gender="male" if number % 2 else "female", **speaks("es")),
            lab(f"l{who}", 1, who=who),
            encounter(f"a{who}", 0, 4, who=who, hospitalization=left_for("home")),
            encounter(f"v{who}", 200, 201, kind="AMB", who=who),
            insured(
                f"c{who}", "Medicare", "2015-01-01", beneficiary={"reference": f"Patient/{who}"}
            ),
        ]
        if number < 3:
            lines.append(encounter(f"b{who}", 14, 15, who=who, hospitalization=left_for("home")))
    ingested(folder / "store", ("a.ndjson", ndjson(*lines)))
    with open_store(folder / "store") as opened:
        yield study_data(
            opened, load_profile("default"), CohortRules(), vocabulary=VocabularyRules()
        )


def test_a_study_says_of_each_stay_who_it_is_about(data):
    groups = data.groups()
    assert tuple(groups.columns) == ATTRIBUTES
    assert len(groups) == len(data) == 11
    assert set(groups["language"]) == {"Spanish"}
    assert set(groups["payer"]) == {"Medicare"}
    assert groups["race"].tolist() == [None] * 11
    by_hand = {number_of(f"p{number}"): "male" if number % 2 else "female" for number in range(8)}
    assert groups["sex"].tolist() == [by_hand[subject] for subject in data.subjects]


def test_days_to_readmission_are_there_for_the_readmitted_alone(data):
    days = data.stays["days_to_readmission"]
    assert days.dtype == np.float64
    assert (days.notna() == data.outcome).all()
    assert days[data.outcome].tolist() == [10.0, 10.0, 10.0]


def test_groups_follow_the_stays_of_a_subset(data):
    rows = np.array([3, 0])
    assert data.subset(rows).groups()["sex"].tolist() == [
        data.groups()["sex"][3],
        data.groups()["sex"][0],
    ]


def test_data_without_attributes_have_no_groups(make_study):
    groups = make_study(200).groups()
    assert groups.shape == (200, 0)
    assert isinstance(groups, pd.DataFrame)


def test_no_feature_is_made_of_race_ethnicity_language_payer_or_site(data):
    behind = {feature.of for feature in data.features} | {
        code for feature in data.features for code in feature.weights
    }
    assert not [of for of in behind if "readmit/" in of]
    kinds = {kind for feature in data.features for kind in feature.records}
    assert "patient" not in kinds
    assert {feature.measure for feature in declared_features()} >= {"age", "sex"}
