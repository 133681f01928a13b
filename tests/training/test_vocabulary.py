"""Vocabulary features: what is frequent at a site, found without looking at any outcome."""

import inspect
from types import SimpleNamespace

import msgspec
import pytest
from records import concept, condition, encounter, ingested, lab, ndjson, order, patient, procedure

from fhir_mappings.concepts import load_concepts
from fhir_mappings.features.declaration import Feature, declared_features
from fhir_mappings.features.engine import check
from fhir_mappings.profiles import load_profile
from fhir_mappings.store import open_store
from service.wording import phrase
from training import vocabulary
from training.cohort.selection import CohortRules
from training.dataset import study_data
from training.vocabulary import VocabularyRules, discover

PATIENTS = 12
RARE = 3
HEART_FAILURE = concept("http://hl7.org/fhir/sid/icd-10-cm", "I50.84")
HEART_FAILURE["coding"][0]["display"] = "Heart failure {left}"
WARD_TEST = {"coding": [{"system": "urn:ward", "code": "X", "display": "Ward test {count}"}]}


def records(who: str, number: int, *, dies: bool = False) -> list[dict]:
    """One stay with heart failure, a local test, a common drug, and for few a rare drug."""
    found = [
        patient(who, **({"deceasedDateTime": "2024-03-20T00:00:00Z"} if dies else {})),
        encounter(f"e{who}", 0, 4, who=who),
        condition(f"c{who}", stay=f"e{who}", who=who, code=HEART_FAILURE),
        lab(f"s{who}", 1, who=who),
        lab(f"x{who}", 1, who=who, code=WARD_TEST, unit="u"),
        order(f"m{who}", 1, "82003", who=who),
        procedure(f"p{who}", 1, "399208008", who=who),
        order(f"plus{who}", 1, who=who, medicationCodeableConcept={"text": "tonic +"}),
        order(f"minus{who}", 1, who=who, medicationCodeableConcept={"text": "tonic -"}),
    ]
    if number < RARE:
        found.append(order(f"r{who}", 1, "519", who=who))
    if dies:
        found.append(encounter(f"again{who}", 9, 12, who=who))
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The features found at a small site."""

    def discovered(*, dying: int = 0, rules: VocabularyRules | None = None) -> tuple[Feature, ...]:
        folder = tmp_path_factory.mktemp("site")
        resources = [
            record
            for number in range(PATIENTS)
            for record in records(f"p{number}", number, dies=number < dying)
        ]
        ingested(folder / "store", ("a.ndjson", ndjson(*resources)))
        with open_store(folder / "store") as store:
            return discover(store, load_concepts(), declared_features(), rules or VocabularyRules())

    return discovered


@pytest.fixture(scope="module")
def found(made):
    return made()


def test_frequent_codes_become_features_of_their_sort(found):
    measured = {feature.of: feature.measure for feature in found}
    assert measured["code:urn:ward|X"] == "latest"
    assert measured["code:RXNORM|82003"] == "present"
    assert measured["code:SNOMED|399208008"] == "count"
    assert any(of.startswith("ccsr.") for of in measured)


def test_rare_codes_are_left(found):
    assert "code:RXNORM|519" not in {feature.of for feature in found}


def test_codes_that_a_declared_feature_covers_are_left(found):
    assert load_concepts().of("LOINC|2951-2") == ("lab.sodium",)
    assert "code:LOINC|2951-2" not in {feature.of for feature in found}
    declared = {part for feature in declared_features() for part in feature.of.split(" + ")}
    assert declared.isdisjoint(feature.of for feature in found)


def test_no_more_than_the_rules_allow_and_the_most_frequent_first(made):
    rules = VocabularyRules(diagnoses=0, medications=1, measurements=0, procedures=0)
    (only,) = made(rules=rules)
    assert only.of == "code:RXNORM|82003"
    assert made(rules=VocabularyRules(least_share=1.1)) == ()


def test_every_declaration_can_be_computed(found):
    check(found, load_concepts().names())
    assert {feature.family for feature in found} == {"vocabulary"}
    assert msgspec.json.decode(msgspec.json.encode(found), type=tuple[Feature, ...]) == found


def test_names_differ_where_codes_differ_in_signs_alone(found, made):
    names = [feature.name for feature in found]
    assert len(names) == len(set(names))
    tonics = {feature.of for feature in found if "tonic" in feature.name}
    assert tonics == {"code:text|tonic +", "code:text|tonic -"}
    assert made() == found


@pytest.mark.parametrize("value", [0.0, 1.0, 7.0])
def test_what_a_site_calls_a_code_can_be_said_whatever_braces_it_has(found, value):
    assert all(phrase(feature, None, as_of=0) for feature in found)
    said = [phrase(feature, value, as_of=0) for feature in found]
    assert not any("{" in words or "}" in words for words in said)
    assert any("Ward test (count)" in words for words in said)
    assert any("such as heart failure (left)" in words for words in said)


@pytest.mark.parametrize(
    ("code", "read"),
    [("SODIUM", "sodium"), ("UREA-NITROGEN", "urea nitrogen"), ("TSH", "TSH"), ("HbA1c", "HbA1c")],
)
def test_a_local_code_without_display_is_read_as_a_word_and_not_shouted(code, read):
    names = SimpleNamespace(description=lambda _: code)
    feature = vocabulary._measurement(f"urn:ward|{code}", names)
    assert phrase(feature, None, as_of=0) == f"{read} (local code) not recorded in this stay"
    assert phrase(feature, 3.0, as_of=0).startswith(f"{read} (local code) 3 on ")
    named = vocabulary._measurement(
        "urn:ward|X", SimpleNamespace(description=lambda _: "Peak flow")
    )
    assert phrase(named, None, as_of=0) == "Peak flow not recorded in this stay"


def test_outcomes_play_no_part(made, found):
    """Deaths and returns of some patients change nothing; nothing of the cohort is asked for."""
    assert [feature.name for feature in made(dying=4)] == [feature.name for feature in found]
    asked = inspect.signature(discover).parameters
    assert list(asked) == ["store", "concepts", "declared", "rules"]
    names = set(vars(vocabulary))
    assert not any("cohort" in name.lower() or "outcome" in name.lower() for name in names)


def test_a_study_adds_them_after_the_declared_features(tmp_path):
    resources = [r for n in range(PATIENTS) for r in records(f"p{n}", n)]
    late = [encounter("last", 60, 61, who="p0", priority=concept("urn:x", "y"))]
    ingested(tmp_path / "store", ("a.ndjson", ndjson(*resources, *late)))
    with open_store(tmp_path / "store") as store:
        profile = load_profile("default")
        data = study_data(store, profile, CohortRules(), vocabulary=VocabularyRules())
    declared = declared_features()
    assert data.features[: len(declared)] == declared
    column = [feature.of for feature in data.features].index("code:urn:ward|X")
    assert set(data.values[:, column]) == {140.0}
