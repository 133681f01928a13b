"""Made-up patients for Hypothesis: untidy records of one fictitious person."""

import random
from typing import Any

from hypothesis import strategies as st
from records import (
    bundle,
    bundle_timeline,
    clock,
    concept,
    condition,
    encounter,
    lab,
    left_for,
    moment,
    order,
    patient,
    problem,
    procedure,
    urgency,
)

from fhir_mappings.features.declaration import declared_features
from fhir_mappings.features.engine import View
from fhir_mappings.stays import Stay
from fhir_mappings.timeline import Timeline

Resource = dict[str, Any]

DIAGNOSES = ("I50.9", "E11.65", "N18.4", "J44.1", "C78.00", "F32.9", "Z51.11", "I21.4", "K70.30")
DRUGS = ("4603", "5521", "11289", "6809", "7804", "0000")
LABS = (
    ("2951-2", 140.0, "mmol/L"),
    ("2823-3", 4.1, "mmol/L"),
    ("2160-0", 1.1, "mg/dL"),
    ("38483-4", 97.3, "umol/L"),
    ("718-7", 11.7, "g/dL"),
    ("8867-4", 88.0, "/min"),
    ("8310-5", 99.1, "[degF]"),
    ("6690-2", 9100.0, "/uL"),
    ("2951-2", 141.0, "grains"),
    ("30341-2", 20.0, ""),
)

days = st.floats(-420, 30, allow_nan=False).map(lambda day: round(day, 2))
lengths = st.sampled_from([0.1, 0.4, 1.0, 2.5, 7.25, 40.0])


@st.composite
def records(draw: st.DrawFn) -> list[Resource]:
    """A patient's records, the stay ``index`` from day 0 to day 4 among them."""
    gender = draw(st.sampled_from(["female", "male", "other"]))
    drug = {
        "resourceType": "Medication",
        "id": "drug",
        "code": _rxnorm(draw(st.sampled_from(DRUGS))),
    }
    found = [patient(gender=gender), drug, index_stay()]
    for number in range(draw(st.integers(0, 14))):
        found.append(draw(_record(str(number))))
    return found


def index_stay(end: float | None = 4.0) -> Resource:
    """The stay that is scored."""
    return encounter("index", 0, end, priority=urgency("UR"), hospitalization=left_for("home"))


@st.composite
def _record(draw: st.DrawFn, name: str) -> Resource:
    day = draw(days)
    make = draw(
        st.sampled_from([_encounter, _lab, _diagnosis, _problem, _order, _procedure, _panel])
    )
    record = make(draw, name, day)
    if draw(st.booleans()):
        record["meta"] = {"lastUpdated": clock(draw(days))}
    return record


def _encounter(draw: st.DrawFn, name: str, day: float) -> Resource:
    end = draw(st.none() | lengths.map(lambda length: day + length))
    kind = draw(st.sampled_from(["IMP", "IMP", "EMER", "EMER", "OBSENC", "AMB"]))
    home = left_for(draw(st.sampled_from(["home", "snf", "exp"])))
    return encounter(name, day, end, kind=kind, hospitalization=home)


def _lab(draw: st.DrawFn, name: str, day: float) -> Resource:
    loinc, value, unit = draw(st.sampled_from(LABS))
    value = value * draw(st.sampled_from([0.9, 1.0, 1.1, 1.0 / 3.0]))
    delay = draw(st.none() | st.sampled_from([0.02, 1.0, 9.0]))
    record = lab(name, day, value, loinc=loinc, unit=unit)
    if delay is not None:
        record["issued"] = clock(day + delay)
    if draw(st.booleans()):
        record["encounter"] = {"reference": "Encounter/index"}
    if draw(st.integers(0, 4)) == 0:
        record["effectiveDateTime"] = clock(day)[:10]
    return record


def _panel(draw: st.DrawFn, name: str, day: float) -> Resource:
    parts = [
        {
            "code": concept("http://loinc.org", loinc),
            "valueQuantity": {"value": value, "code": unit},
        }
        for loinc, value, unit in (("8480-6", 121.0, "mm[Hg]"), ("8462-4", 71.0, "mm[Hg]"))
    ]
    return lab(name, day, None, loinc="85354-9", component=draw(st.permutations(parts)))


def _diagnosis(draw: st.DrawFn, name: str, day: float) -> Resource:
    record = condition(name, draw(st.sampled_from(DIAGNOSES)))
    stay = draw(st.sampled_from([None, "index", "0", "1", "absent"]))
    if stay is not None:
        record["encounter"] = {"reference": f"Encounter/{stay}"}
    recorded = draw(st.sampled_from([None, clock(day), clock(day)[:10], clock(day)[:7]]))
    if recorded is not None:
        record["recordedDate"] = recorded
    if draw(st.booleans()):
        record["onsetDateTime"] = clock(draw(days))[:10]
    return record


def _problem(draw: st.DrawFn, name: str, day: float) -> Resource:
    return problem(name, draw(st.sampled_from(DIAGNOSES)), clock(day))


def _order(draw: st.DrawFn, name: str, day: float) -> Resource:
    record = order(name, day, draw(st.sampled_from(DRUGS)))
    if draw(st.booleans()):
        del record["medicationCodeableConcept"]
        record["medicationReference"] = {"reference": "Medication/drug"}
    if draw(st.booleans()):
        record["category"] = [concept("http://x.example/category", "discharge")]
    return record


def _procedure(draw: st.DrawFn, name: str, day: float) -> Resource:
    record = procedure(name, day, encounter={"reference": "Encounter/index"})
    if draw(st.integers(0, 3)) == 0:
        del record["performedDateTime"]
    return record


def _rxnorm(code: str) -> Resource:
    return concept("http://www.nlm.nih.gov/research/umls/rxnorm", code)


def stay_of(timeline: Timeline, encounter_id: str = "index") -> Stay:
    """The stay that an encounter belongs to."""
    (stay,) = [stay for stay in timeline.stays if encounter_id in stay.encounters]
    return stay


def row(timeline: Timeline, as_of: int, stay: Stay | None = None) -> list[str]:
    """Every declared feature, written so that equal means equal to the last bit."""
    view = View(timeline, stay_of(timeline) if stay is None else stay, as_of)
    return [repr(value) for value in view.row(declared_features())]


def row_of(resources: list[Resource], as_of: int | None = None) -> list[str]:
    """The row of the index stay as these resources, in a Bundle, tell it."""
    return row(bundle_timeline(bundle(*resources)), moment(4) if as_of is None else as_of)


def shuffled(resources: list[Resource], seed: int) -> list[Resource]:
    """The same resources in another order."""
    return random.Random(seed).sample(resources, len(resources))
