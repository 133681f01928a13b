"""Who said no is not in an export, and no Consent in it permits more than its original."""

import json
from pathlib import Path

import pytest
from golden_pairs import KEY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import clock, concept, encounter, lab, moment, ndjson, patient, written

from fhir_mappings.consent import OptOuts
from fhir_mappings.deidentification.consents import Consents
from fhir_mappings.deidentification.dates import Dates
from fhir_mappings.deidentification.export import REPORT, export
from fhir_mappings.deidentification.pseudonyms import Pseudonyms
from fhir_mappings.deidentification.references import Named
from fhir_mappings.deidentification.tally import Tally
from fhir_mappings.deidentification.walker import Walker
from fhir_mappings.profiles import load_profile
from fhir_mappings.records.decoding import decode
from fhir_mappings.sources.consent import answers
from fhir_mappings.sources.reading import Reading

DEFAULT = load_profile("default")
HL7 = "http://terminology.hl7.org/CodeSystem/"
NOW = OptOuts(at=moment(5000))


def purposes(*codes):
    return [{"system": HL7 + "v3-ActReason", "code": code} for code in codes]


def consent(who="ada", **elements):
    return {
        "resourceType": "Consent",
        "id": f"of-{who}",
        "status": "active",
        "scope": concept(HL7 + "consentscope", "patient-privacy"),
        "patient": {"reference": f"Patient/{who}"},
        "dateTime": clock(0),
        "provision": {"type": "deny"},
    } | elements


def of(who):
    return [patient(who), encounter(f"e-{who}", 0, 3, who=who), lab(f"l-{who}", 1, who=who)]


def exported(folder: Path, *more, opt_outs=NOW):
    records = ndjson(*of("ada"), *of("bob"), *more)
    source = written(folder / "in" / "records.ndjson", records)
    summary = export([source], folder / "out", KEY, DEFAULT, opt_outs=opt_outs)
    content = {f.name: f.read_text().splitlines() for f in (folder / "out").glob("*.ndjson")}
    return summary, content


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"provision": {"type": "deny", "purpose": purposes("HRESCH")}},
        {"provision": [{"type": "deny"}]},
        {"scope": None},
        {"id": ""},
        {"patient": None, "subject": {"reference": "Patient/ada"}, "decision": "deny"},
    ],
    ids=["whole", "research", "of R5", "without scope", "without id", "subject of R5"],
)
def test_nothing_of_who_refuses_to_be_learned_from_is_exported(tmp_path, said):
    summary, content = exported(tmp_path, consent(**said))
    assert {name: len(lines) for name, lines in content.items()} == {
        "Patient.ndjson": 1, "Encounter.ndjson": 1, "Observation.ndjson": 1,
    }  # fmt: skip
    assert (summary.patients, summary.opted_out) == (1, 1)
    assert summary.written.get("Consent", 0) == 0
    report = json.loads((tmp_path / "out" / REPORT).read_text())
    assert report["opted_out"] == "<11", "one patient alone could be looked for"


def test_who_is_on_the_list_is_not_exported_and_only_those_on_record_are_counted(tmp_path):
    listed = OptOuts(frozenset({"ada", "of-elsewhere"}), moment(5000))
    summary, content = exported(tmp_path, opt_outs=listed)
    assert len(content["Patient.ndjson"]) == 1
    assert summary.opted_out == 1


def test_who_refuses_to_be_scored_alone_is_exported_with_that_refusal(tmp_path):
    care = {"type": "deny", "purpose": purposes("CAREMGT")}
    summary, content = exported(tmp_path, consent(provision=care))
    assert (summary.patients, summary.opted_out) == (2, 0)
    (line,) = content["Consent.ndjson"]
    kept = decode(line.encode())
    assert set(answers(kept, Reading(DEFAULT))) == {("scoring", "deny")}


def test_a_refusal_that_was_withdrawn_in_a_later_version_keeps_nobody_out(tmp_path):
    later = consent(status="inactive", meta={"lastUpdated": clock(9)})
    summary, _ = exported(tmp_path, consent(meta={"lastUpdated": clock(1)}), later)
    assert (summary.patients, summary.opted_out) == (2, 0)


_PERIODS = st.sampled_from([None, {"end": "2030-05-05"}, {"start": "2024-03-03"}])
_NARROWED = st.fixed_dictionaries(
    {},
    optional={
        "actor": st.just([{"role": {}}]),
        "action": st.just([concept(HL7 + "consentaction", "use")]),
        "code": st.just([{"text": "x"}]),
    },
)


def provisions(deeper):
    plain = st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["deny", "permit"]),
            "purpose": st.lists(
                st.sampled_from(["TREAT", "CAREMGT", "HRESCH", "HOPERAT", "HMARKT", "XYZ"]),
                min_size=1,
                max_size=2,
            ).map(lambda codes: purposes(*codes)),
            "provision": st.lists(deeper, min_size=1, max_size=2),
        },
    )
    return st.tuples(plain, _NARROWED, _PERIODS).map(
        lambda parts: parts[0] | parts[1] | ({"period": parts[2]} if parts[2] else {})
    )


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    provision=st.recursive(provisions(st.nothing()), provisions, max_leaves=4),
    scope=st.sampled_from(["patient-privacy", "research", "treatment", "adr", "of-our-own"]),
    rule=st.sampled_from([None, "OPTIN", "OPTOUT"]),
    dates=st.sampled_from(list(Dates)),
)
def test_an_exported_consent_refuses_as_much_and_permits_no_more(provision, scope, rule, dates):
    record = consent(provision=provision, scope=concept(HL7 + "consentscope", scope))
    if rule is not None:
        record["policyRule"] = concept(HL7 + "v3-ActCode", rule)
    named = Named("Consent", record["id"])
    walker = Walker(Pseudonyms(KEY, b""), DEFAULT, dates, Tally())
    walker.survey(named, record, {})
    as_read = Consents(DEFAULT, NOW).as_read(named, record, {})
    ours = said(walker.written(named, as_read, {}))
    theirs = said(record)
    for use in ("scoring", "training"):
        assert ((use, "deny") in ours) == ((use, "deny") in theirs)
        assert (use, "permit") not in ours or (use, "permit") in theirs


def said(record):
    return set(answers(decode(json.dumps(record).encode()), Reading(DEFAULT)))
