"""Who said no is not in a study, in any way; and nobody is in it by the record's own ids."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import clock, concept, encounter, ingested, lab, moment, ndjson, order, patient

from fhir_mappings.consent import OptOuts
from fhir_mappings.errors import NoStaysError
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import load_profile
from fhir_mappings.pseudonyms import KEY_FILE
from fhir_mappings.store import open_store
from training.cohort.external import ExternalCohort
from training.cohort.selection import CohortRules
from training.dataset import end_of_data, select_cohort, study_data
from training.experiment import run_study
from training.monitoring.unit_change import refused_values
from training.simulated_hospital import simulate
from training.study import EvaluationRules, SplitRules, Study
from training.study_records import StudyRecords
from training.vocabulary import VocabularyRules

DEFAULT = load_profile("default")
NOW = moment(5000)
PEOPLE = [f"person-{number}" for number in range(12)]


def of_one(number: int, who: str) -> list[dict]:
    """Two or three stays of one person, with a test and a drug that only some have."""
    local = {"coding": [{"system": "urn:ward", "code": f"T{number % 3}"}]}
    found = [
        patient(who),
        encounter(f"a-{who}", number, number + 3, who=who),
        encounter(f"b-{who}", 90 + number, 92 + number, who=who),
        lab(f"l-{who}", number + 1, 130.0 + number, who=who),
        lab(f"m-{who}", number + 1, 5.0, code=local, who=who),
        order(f"o-{who}", number + 1, ("4603", "5521")[number % 2], who=who),
        encounter(f"v-{who}", 300 + 10 * number, 301 + 10 * number, kind="AMB", who=who),
    ]
    if number % 2:
        found.append(encounter(f"r-{who}", number + 15, number + 16, who=who))
    return found


def refusal(who: str) -> dict:
    return {
        "resourceType": "Consent",
        "id": f"no-{who}",
        "status": "active",
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "patient": {"reference": f"Patient/{who}"},
        "dateTime": clock(400),
        "provision": {"type": "deny"},
    }


def stored(folder: Path, people, refusing=()) -> Path:
    lines = [r for who in people for r in of_one(PEOPLE.index(who), who)]
    lines += [refusal(who) for who in refusing]
    ingested(folder / "store", ("a.ndjson", ndjson(*lines)))
    return folder / "store"


def study_of(store: Path, listed=()):
    with open_store(store) as opened:
        records = StudyRecords(opened, DEFAULT, OptOuts(frozenset(listed), NOW))
        data = study_data(
            records, DEFAULT, CohortRules(), vocabulary=VocabularyRules(least_share=0.01)
        )
        return data, end_of_data(records), refused_values(records, DEFAULT, ["lab.sodium"])


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    listed=st.sets(st.sampled_from(PEOPLE), max_size=5),
    consenting=st.sets(st.sampled_from(PEOPLE), max_size=4),
)
def test_a_study_is_that_of_a_store_without_those_who_said_no(tmp_path_factory, listed, consenting):
    folder = tmp_path_factory.mktemp("law")
    (folder / "with").mkdir()
    (folder / "without").mkdir()
    gone = listed | consenting
    whole = stored(folder / "with", PEOPLE, refusing=consenting)
    rest = stored(folder / "without", [who for who in PEOPLE if who not in gone])
    ours, end, read = study_of(whole, listed)
    shutil.copy(whole / KEY_FILE, rest / KEY_FILE)
    theirs, other_end, other_read = study_of(rest)
    assert ours.fingerprint == theirs.fingerprint
    assert ours.features == theirs.features
    assert ours.values.tobytes() == theirs.values.tobytes()
    assert ours.subjects.tolist() == theirs.subjects.tolist()
    assert ours.stays.equals(theirs.stays)
    assert end == other_end
    assert read["lab.sodium"][1] == other_read["lab.sodium"][1] == 12 - len(gone)
    stays = sum(3 if PEOPLE.index(who) % 2 else 2 for who in gone)
    assert [s["excluded"] for s in ours.flow if "opted out" in s["step"]] == [stays] * bool(gone)
    assert ours.flow[0]["left"] == theirs.flow[0]["left"] + stays
    assert ours.flow[-1] == theirs.flow[-1]


def test_refusing_to_be_scored_alone_leaves_a_patient_in_the_study(tmp_path):
    care = refusal(PEOPLE[1])
    reason = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}
    care["provision"]["purpose"] = [reason]
    lines = [r for n, who in enumerate(PEOPLE) for r in of_one(n, who)]
    ingested(tmp_path / "store", ("a.ndjson", ndjson(*lines, care)))
    assert "opted out" not in str(study_of(tmp_path / "store")[0].flow)


def test_where_everybody_said_no_no_study_is_left(tmp_path):
    with pytest.raises(NoStaysError):
        study_of(stored(tmp_path, PEOPLE), PEOPLE)


def test_a_cohort_from_outside_does_not_bring_back_who_said_no(tmp_path):
    names = ["a-person-0", "a-person-1", "a-person-2"]
    file = ExternalCohort("c.csv", dict.fromkeys(names, True), dict.fromkeys(names, 1))
    with open_store(stored(tmp_path, PEOPLE)) as opened:
        records = StudyRecords(opened, DEFAULT, OptOuts(frozenset(["person-1"]), NOW))
        found = select_cohort(records, DEFAULT, CohortRules(), external=file)
    assert {stay.encounter for stay in found.cohort.index_stays} == {"a-person-0", "a-person-2"}
    assert [(step.excluded, step.left) for step in found.flow if "opted" in step.step] == [(1, 2)]


def test_a_study_holds_no_id_of_the_record_and_the_same_one_whatever_the_key(tmp_path):
    store = stored(tmp_path, PEOPLE)
    one = study_of(store)[0]
    (store / KEY_FILE).unlink()
    other = study_of(store)[0]
    for name in ("encounter_id", "subject"):
        assert not set(one.stays[name]) & set(other.stays[name])
    assert "person-" not in one.stays.to_csv() + " ".join(one.subjects)
    assert one.fingerprint == other.fingerprint
    assert one.subjects.tolist() == other.subjects.tolist()
    assert one.ordered().values.tobytes() == other.ordered().values.tobytes()
    assert np.array_equal(one.ordered().outcome, other.ordered().outcome)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_nothing_that_a_run_leaves_holds_an_id_of_the_record(tmp_path):
    """Every file of MLflow's home is searched, the database's bytes and the searches' as well."""
    profile = load_profile("simulated")
    simulate(tmp_path / "records", 250, 4)
    for file in (tmp_path / "records").rglob("*.ndjson"):
        file.write_bytes(file.read_bytes().replace(b"sim-", b"Quillfeather-"))
    ingest([tmp_path / "records"], tmp_path / "store", profile, shards=2)
    quick = EvaluationRules(resamples=50, stability_refits=0, attributes=("sex", "payer"))
    study = Study(evaluation=quick, split=SplitRules(by="patient"))
    with open_store(tmp_path / "store") as store:
        assert sum("Quillfeather-" in name for name in store.subjects()) > 200
        run_study(store, profile, tmp_path / "mlruns", study, tune=2)
    files = [path for path in (tmp_path / "mlruns").rglob("*") if path.is_file()]
    assert {"mlflow.db", "report.html", "reference.json"} <= {path.name for path in files}
    assert [
        p for p in files if b"Quillfeather" in p.read_bytes() or b"sim-" in p.read_bytes()
    ] == []
