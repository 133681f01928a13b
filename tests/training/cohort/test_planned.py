"""Whether a return was planned."""

import pytest
from records import (
    concept,
    condition,
    encounter,
    lab,
    patient,
    procedure,
    timeline,
    urgency,
)

from fhir_mappings.features.engine import View
from training.cohort.planned import why_planned
from training.cohort.selection import HINDSIGHT

PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
STAY = {"encounter": {"reference": "Encounter/e"}}
EMERGENCY = encounter("ed", -0.2, 0, kind="EMER")
ELECTIVE = {"priority": urgency("EL")}
URGENT = {"priority": urgency("EM")}

KIDNEY_TRANSPLANT = procedure("p", 1, code=concept(PCS, "0TY00Z0"), **STAY)
HIP_REPLACEMENT = procedure("p", 1, code=concept(PCS, "0SR90JZ"), **STAY)
CHEMOTHERAPY = condition("c", "Z51.11", stay="e")


def stay(principal=None, **elements):
    """A stay, with its principal diagnosis where one is ranked first."""
    if principal is None:
        return [patient(), encounter("e", 0, 4, **elements), lab("l", 1)]
    ranked = [{"condition": {"reference": "Condition/first"}, "rank": 1}]
    return [
        patient(),
        encounter("e", 0, 4, diagnosis=ranked, **elements),
        condition("first", principal, stay="e"),
    ]


def rule(*resources):
    whole = timeline(*resources)
    return why_planned(View(whole, whole.stays[-1], HINDSIGHT))


@pytest.mark.parametrize(
    ("resources", "planned"),
    [
        (stay(), None),
        (stay("I50.9"), None),
        (stay(**URGENT), None),
        (stay(**ELECTIVE), "registered as elective"),
        ([*stay(**ELECTIVE), EMERGENCY], None),
        ([*stay(), KIDNEY_TRANSPLANT], "always-planned procedure"),
        ([*stay("I50.9", **URGENT), KIDNEY_TRANSPLANT], "always-planned procedure"),
        (stay("Z51.11"), "always-planned diagnosis"),
        (stay("Z51.11", **URGENT), "always-planned diagnosis"),
        ([*stay(), CHEMOTHERAPY], "always-planned diagnosis"),
        ([*stay(**URGENT), CHEMOTHERAPY], None),
        ([*stay("I50.9", **URGENT), CHEMOTHERAPY], None),
        (
            [*stay("M16.11"), HIP_REPLACEMENT],
            "potentially planned procedure without an acute diagnosis",
        ),
        ([*stay("S72.001A"), HIP_REPLACEMENT], None),
        ([*stay("M16.11", **URGENT), HIP_REPLACEMENT], None),
        ([*stay(), condition("o", "O80", stay="e")], "birth"),
        ([*stay(**URGENT), condition("o", "Z37.0", stay="e")], "birth"),
        ([*stay(), condition("o", "Z38.00", stay="e")], "birth"),
    ],
)
def test_rule_by_which_a_stay_was_planned(resources, planned):
    assert rule(*resources) == planned


def test_what_another_stay_was_for_does_not_count():
    earlier = encounter("x", -50, -45)
    transplant = KIDNEY_TRANSPLANT | {"encounter": {"reference": "Encounter/x"}}
    assert rule(*stay(), earlier, transplant) is None


def test_codes_of_the_emergency_visit_belong_to_the_stay():
    found = condition("o", "O80", stay="ed")
    assert rule(*stay(), EMERGENCY, found) == "birth"
