"""A cohort from outside replaces the rules: its stays, its labels, and nothing else."""

import numpy as np
import pytest
from records import encounter, ingested, lab, left_for, ndjson, patient

from fhir_mappings.errors import StudyError
from fhir_mappings.profiles import load_profile
from fhir_mappings.pseudonyms import store_pseudonyms
from fhir_mappings.store import open_store
from training.cohort.external import read_cohort
from training.cohort.selection import CohortRules
from training.dataset import select_cohort, study_data

DEFAULT = load_profile("default")
HOME = {"hospitalization": left_for("home")}


@pytest.fixture
def cohort_file(tmp_path):
    def write(content, name="cohort.csv"):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


def test_encounters_and_labels_are_read_with_their_lines(cohort_file):
    found = read_cohort(cohort_file("encounter_id,label\ne1,1\n\nEncounter/e2,0\n"))
    assert found.labels == {"e1": True, "e2": False}
    assert found.lines == {"e1": 2, "e2": 4}


def test_a_table_from_a_spreadsheet_is_read(cohort_file):
    rows = '\ufeffward;,label,encounter_id\r\n"A, B",1,"e1"\r\nC, 0 , e2 \r\n'
    assert read_cohort(cohort_file(rows)).labels == {"e1": True, "e2": False}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("encounter_id,readmitted\ne1,1\n", "cohort.csv, line 1: the header lacks label"),
        ("", "line 1: the header lacks encounter_id and label"),
        ("encounter_id,label\n", "it holds no encounter"),
        ("encounter_id,label\ne1,1\ne2,2\n", "cohort.csv, line 3: the label is neither 0 nor 1"),
        ("encounter_id,label\ne1,yes\n", "line 2: the label"),
        ("encounter_id,label\ne1\n", "line 2: fewer cells"),
        ("encounter_id,label\n,1\n", "line 2: no encounter_id"),
        ("encounter_id,label\ne1,1\ne2,0\ne1,0\n", "lines 2 and 4: the same encounter twice"),
        ('encounter_id,label\n"e1"x,1\n', "line 2: not CSV"),
        (b"encounter_id,label\n\xff,1\n", "not UTF-8"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(cohort_file, content, words):
    with pytest.raises(StudyError, match=words):
        read_cohort(cohort_file(content))


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"cohort\.csv: no such cohort file"):
        read_cohort(tmp_path / "cohort.csv")


def test_no_error_repeats_what_a_cell_holds(cohort_file):
    for content in ("encounter_id,label\nZebedee,Quillfeather\n", "Zebedee,Quillfeather\n"):
        with pytest.raises(StudyError) as refused:
            read_cohort(cohort_file(content))
        assert "Zebedee" not in str(refused.value)
        assert "Quillfeather" not in str(refused.value)


@pytest.fixture
def store(tmp_path):
    """Ten people with a stay each and a return of the even ones; transfers, visits, a long stay."""
    lines = []
    for number in range(10):
        who = f"p{number}"
        lines += [
            patient(who),
            lab(f"l{number}", 1, who=who),
            encounter(f"ed{number}", -0.2, 0, kind="EMER", who=who),
            encounter(f"a{number}", 0, 3, who=who),
            encounter(f"b{number}", 3.1, 5, who=who, **HOME),
            encounter(f"v{number}", 40, 41, kind="AMB", who=who),
            encounter(f"child-{number}", 60, None, who=who),
        ]
        if number % 2 == 0:
            lines.append(encounter(f"r{number}", 15, 17, who=who, **HOME))
    ingested(tmp_path / "store", ("a.ndjson", ndjson(*lines)))
    with open_store(tmp_path / "store") as opened:
        yield opened


def test_the_stays_are_those_of_the_file_and_the_labels_are_its_own(store, cohort_file):
    external = read_cohort(cohort_file("encounter_id,label\na0,0\nb1,1\ned2,1\nr4,0\n"))
    data = study_data(store, DEFAULT, CohortRules(), external=external)
    under = {store_pseudonyms(store.home).of("Encounter", n): n for n in ("b0", "b1", "b2", "r4")}
    stays = [under[pseudonym] for pseudonym in data.stays["encounter_id"]]
    labels = dict(zip(stays, data.outcome.tolist(), strict=True))
    assert labels == {"b0": False, "b1": True, "b2": True, "r4": False}
    days = dict(zip(stays, data.stays["days_to_readmission"], strict=True))
    assert days["b2"] == pytest.approx(10)
    assert np.isnan([days["b0"], days["b1"], days["r4"]]).all()


def test_the_flow_says_how_many_were_asked_for_found_and_usable(store, cohort_file):
    external = read_cohort(
        cohort_file("encounter_id,label\na0,0\nb1,1\nv3,1\nchild-4,0\nnowhere,1\nneither,0\n")
    )
    found = select_cohort(store, DEFAULT, CohortRules(), external=external)
    assert [(step.excluded, step.left) for step in found.flow] == [
        (0, 6),
        (2, 4),
        (1, 3),
        (1, 2),
        (0, 2),
    ]
    assert found.flow[0].step == "Encounters asked for in cohort.csv"
    assert found.flow[1].step == "Not on record"
    assert len(found.cohort.index_stays) == 2


def test_stays_that_the_rules_would_leave_out_are_in(store, cohort_file):
    external = read_cohort(cohort_file("encounter_id,label\nr8,1\nb9,0\n"))
    rules = CohortRules(horizon_days=90)
    assert len(select_cohort(store, DEFAULT, rules).cohort.index_stays) == 0
    assert len(select_cohort(store, DEFAULT, rules, external=external).cohort.index_stays) == 2


def test_two_encounters_of_one_stay_are_refused_with_their_lines(store, cohort_file):
    external = read_cohort(cohort_file("encounter_id,label\na1,1\nb2,0\nb1,1\n"))
    with pytest.raises(StudyError, match=r"cohort\.csv, lines 2 and 4: encounters of the same"):
        study_data(store, DEFAULT, CohortRules(), external=external)


def test_a_file_of_which_nothing_is_on_record_leaves_no_study(store, cohort_file):
    external = read_cohort(cohort_file("encounter_id,label\nnowhere,1\n"))
    with pytest.raises(StudyError, match="no index stay"):
        study_data(store, DEFAULT, CohortRules(), external=external)
