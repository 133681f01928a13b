"""What a Consent refuses and permits, and which of several counts."""

import pytest
from records import (
    clock,
    concept,
    encounter,
    events,
    ingested,
    lab,
    moment,
    ndjson,
    patient,
    stored,
)
from records import timeline as timeline_of

from fhir_mappings.consent import OptOuts, refuses
from fhir_mappings.eligibility import REASONS, why_not
from fhir_mappings.features.engine import View

HL7 = "http://terminology.hl7.org/CodeSystem/"
USES = ("scoring", "training")


def consent(name="c", /, **elements):
    """An active refusal of everything, made on day 0."""
    return {
        "resourceType": "Consent",
        "id": name,
        "status": "active",
        "scope": concept(HL7 + "consentscope", "patient-privacy"),
        "patient": {"reference": "Patient/ada"},
        "dateTime": clock(0),
        "provision": {"type": "deny"},
    } | elements


def purposes(*codes, system=HL7 + "v3-ActReason"):
    return [{"system": system, "code": code} for code in codes]


def scope(code):
    return concept(HL7 + "consentscope", code)


def policy(code):
    return concept(HL7 + "v3-ActCode", code)


def refused(*resources, at=50.0, listed=()):
    """The uses that ada refuses on a day."""
    whole = timeline_of(patient(), *resources)
    opt_outs = OptOuts(frozenset(listed), None if at is None else moment(at))
    return [use for use in USES if refuses("ada", whole.consents, use, opt_outs)]


def said(**elements):
    return sorted(event.code.partition("|")[2] for event in events(consent(**elements)))


@pytest.mark.parametrize(
    ("purpose", "expected"),
    [
        (None, ["scoring", "training"]),
        (purposes("TREAT"), ["scoring"]),
        (purposes("CAREMGT", "TREAT"), ["scoring"]),
        (purposes("HOPERAT"), ["scoring", "training"]),
        (purposes("HRESCH"), ["training"]),
        (purposes("CLINTRCH"), ["training"]),
        (purposes("HQUALIMP"), ["training"]),
        (purposes("TREAT", "HRESCH"), ["scoring", "training"]),
        (purposes("HMARKT"), []),
        (purposes("HMARKT", "HRESCH"), ["training"]),
        # What nobody here knows may mean anything: the refusal is taken as a whole.
        (purposes("XYZ"), ["scoring", "training"]),
        (purposes("TREAT", system="http://local.example/why"), ["scoring", "training"]),
        ([{"display": "research"}], ["scoring", "training"]),
    ],
)
def test_a_refusal_is_of_the_uses_that_its_purposes_cover(purpose, expected):
    provision = {"type": "deny"} | ({} if purpose is None else {"purpose": purpose})
    assert refused(consent(provision=provision)) == expected


@pytest.mark.parametrize(
    "status", ["inactive", "rejected", "entered-in-error", "draft", "proposed"]
)
def test_only_an_active_consent_counts(status):
    assert refused(consent(status=status)) == []


@pytest.mark.parametrize(
    ("of", "provision", "expected"),
    [
        ("research", {"type": "deny"}, ["training"]),
        ("research", {"type": "deny", "purpose": purposes("TREAT")}, ["scoring"]),
        # Whoever refuses an operation says nothing of records.
        ("treatment", {"type": "deny"}, []),
        ("treatment", {"type": "deny", "purpose": purposes("CAREMGT")}, ["scoring"]),
        ("adr", {"type": "deny"}, []),
        ("of-our-own", {"type": "deny"}, ["scoring", "training"]),
    ],
)
def test_the_scope_says_what_a_consent_is_about(of, provision, expected):
    assert refused(consent(scope=scope(of), provision=provision)) == expected


@pytest.mark.parametrize(
    ("rule", "provision", "expected"),
    [
        ("OPTOUT", None, ["scoring", "training"]),
        ("OPTOUTE", {}, ["scoring", "training"]),
        ("OPTOUT", {"purpose": purposes("HRESCH")}, ["training"]),
        ("OPTIN", None, []),
        ("OPTIN", {"provision": [{"type": "deny", "purpose": purposes("HRESCH")}]}, ["training"]),
        ("OPTOUT", {"provision": [{"type": "permit", "purpose": purposes("TREAT")}]}, ["training"]),
        # The type at the root, which R4 does not foresee and systems write, says it more closely.
        ("OPTIN", {"type": "deny"}, ["scoring", "training"]),
    ],
)
def test_the_rule_of_r4_is_the_base_where_the_root_has_no_type(rule, provision, expected):
    elements = {} if provision is None else {"provision": provision}
    record = consent(policyRule=policy(rule)) | elements
    if provision is None:
        del record["provision"]
    assert refused(record) == expected


@pytest.mark.parametrize(
    ("provision", "expected"),
    [
        ({"type": "permit", "purpose": purposes("TREAT")}, ["training"]),
        ({"type": "permit", "purpose": purposes("TREAT", "HRESCH")}, []),
        ({"type": "permit"}, ["scoring", "training"]),
        ({"type": "permit", "purpose": purposes("XYZ")}, ["scoring", "training"]),
        (
            {"type": "permit", "purpose": purposes("TREAT"), "actor": [{"role": {}}]},
            ["scoring", "training"],
        ),
        (
            {"type": "permit", "purpose": purposes("TREAT"), "period": {"end": "2030"}},
            ["scoring", "training"],
        ),
        (
            {"type": "permit", "purpose": purposes("TREAT"), "provision": [{"type": "deny"}]},
            ["scoring", "training"],
        ),
        ({"purpose": purposes("TREAT")}, ["scoring", "training"]),
    ],
)
def test_an_exception_to_a_refusal_counts_only_where_all_of_it_is_clear(provision, expected):
    assert refused(consent(provision={"type": "deny", "provision": [provision]})) == expected


@pytest.mark.parametrize(
    ("provision", "expected"),
    [
        ({"type": "deny", "purpose": purposes("HRESCH")}, ["training"]),
        ({"type": "deny"}, ["scoring", "training"]),
        ({"type": "deny", "purpose": purposes("XYZ")}, []),
        ({"type": "deny", "actor": [{"role": {}}]}, []),
        ({"type": "deny", "period": {"end": clock(40)}}, []),
    ],
)
def test_an_exception_to_a_permission_refuses_what_it_clearly_names(provision, expected):
    assert refused(consent(provision={"type": "permit", "provision": [provision]})) == expected


def test_a_refusal_counts_however_it_is_narrowed():
    narrow = {"type": "deny", "actor": [{"role": {}}], "class": [{"code": "Observation"}]}
    assert refused(consent(provision=narrow)) == ["scoring", "training"]


def test_a_permission_that_is_narrowed_lifts_no_refusal():
    for narrow in ({"actor": [{"role": {}}]}, {"dataPeriod": {"start": "2020"}}, {"code": [{}]}):
        later = consent("d", dateTime=clock(3), provision={"type": "permit"} | narrow)
        assert refused(consent(), later) == ["scoring", "training"]


def test_the_latest_decision_counts_for_each_use():
    permits = {"type": "permit"}
    care = permits | {"purpose": purposes("TREAT")}
    assert refused(consent(), consent("d", dateTime=clock(3), provision=permits)) == []
    assert refused(consent(), consent("d", dateTime=clock(-3), provision=permits)) == list(USES)
    assert refused(consent(), consent("d", dateTime=clock(3), provision=care)) == ["training"]
    assert refused(consent(), consent("d", dateTime=clock(0), provision=permits)) == list(USES)


def test_a_permission_of_another_scope_lifts_nothing():
    trial = consent("d", dateTime=clock(3), scope=scope("research"), provision={"type": "permit"})
    assert refused(consent(), trial) == ["scoring", "training"]


def test_a_consent_to_come_does_not_count_yet_and_one_that_has_ended_no_longer():
    assert refused(consent(dateTime=clock(60))) == []
    ahead = {"type": "deny", "period": {"start": clock(60)}}
    assert refused(consent(provision=ahead)) == []
    assert refused(consent(provision=ahead), at=61) == list(USES)
    over = {"type": "deny", "period": {"end": "2024-03-31"}}
    assert refused(consent(provision=over), at=30.9) == list(USES)
    assert refused(consent(provision=over), at=31.1) == []


def test_when_a_permission_ends_the_refusal_before_it_counts_again():
    lent = {"type": "permit", "period": {"end": clock(20)}}
    both = consent(), consent("d", dateTime=clock(3), provision=lent)
    assert refused(*both, at=10) == []
    assert refused(*both, at=30) == list(USES)


def test_a_day_without_a_clock_counts_from_its_beginning():
    assert refused(consent(dateTime="2024-03-20"), at=19.01) == list(USES)
    assert refused(consent(dateTime="2024-03-20"), at=18.9) == []


@pytest.mark.parametrize("elements", [{"dateTime": None}, {"dateTime": "some day"}])
def test_a_refusal_without_a_date_stands_until_it_is_withdrawn(elements):
    later = consent("d", dateTime=clock(30), provision={"type": "permit"})
    assert refused(consent(**elements), later) == list(USES)
    assert refused(consent(**elements, provision={"type": "permit"}), consent("d")) == list(USES)


def test_where_dates_are_shifted_every_consent_counts_whatever_its_dates():
    assert refused(consent(dateTime="2150-01-01"), at=None) == list(USES)
    over = {"type": "deny", "period": {"end": "2024-03-31"}}
    assert refused(consent(provision=over), at=None) == list(USES)


def test_the_list_refuses_everything_and_names_nobody_else():
    assert refused(listed=["ada"]) == list(USES)
    assert refused(listed=["bob"]) == []


def test_a_consent_withdrawn_in_a_later_export_is_forgotten(tmp_path):
    ingested(tmp_path / "store", ("a.ndjson", ndjson(patient(), consent())))
    assert "Consent/c" in {event.source for event in stored(tmp_path / "store")["ada"]}
    withdrawn = consent(status="inactive", meta={"lastUpdated": clock(9)})
    ingested(tmp_path / "store", ("b.ndjson", ndjson(withdrawn)))
    assert "Consent/c" not in {event.source for event in stored(tmp_path / "store")["ada"]}


def test_a_consent_that_names_no_patient_is_refused_by_the_name_of_that_element(tmp_path):
    ingested(tmp_path / "store", ("a.ndjson", ndjson(patient(), consent(patient=None))))
    assert "Consent.patient" in (tmp_path / "store" / "rejects.csv").read_text()


def test_the_first_reason_of_all_is_that_the_patient_does_not_want_it():
    """Before age, and before anything else that would tell of the record."""
    whole = timeline_of(patient(birthDate=None), encounter("e", 0, 4), lab("l", 1), consent())
    view = View(whole, whole.stays[-1], moment(4))
    found = why_not(view, "scoring", OptOuts(at=moment(50)))
    assert found == ("opted_out", REASONS["opted_out"])
    assert next(iter(REASONS)) == "opted_out"
    assert why_not(view, "scoring", OptOuts(at=moment(-1))).code == "unknown_age"


def test_whoever_says_no_after_the_discharge_is_not_scored_for_it():
    whole = timeline_of(patient(), encounter("e", 0, 4), lab("l", 1), consent(dateTime=clock(9)))
    view = View(whole, whole.stays[-1], moment(4))
    assert why_not(view, "scoring", OptOuts(at=moment(10))).code == "opted_out"
    assert why_not(view, "scoring", OptOuts(at=moment(8))) is None
