"""Records in which every text, every key and every id is a canary, whatever FHIR says of it."""

from typing import Any

from hypothesis import strategies as st

from fhir_mappings.deidentification.allow_list import Branch, Rule, Treatment, allow_list

WORDS = ("Zebedee", "Quillfeather", "zq@teasel.example", "555-0147-933")
"""What must be nowhere: a name, a surname, an address, a telephone."""

WRITTEN = (
    "{}", "{} ", "X{}", "2024-03-01 {}", "2024-03-01T10:00:00Z{}", "Patient/{}", "urn:uuid:{}",
    "https://ehr.example/{}/Patient/7", "http://hl7.org/fhir/{}/v3-ActPriority", "Medicare {}",
    "http://terminology.hl7.org/CodeSystem/{}", "02139 {}", "#{}", "A00.{}", "1234-{}",
    "{}/_history/2",
)  # fmt: skip
"""Shapes that a treatment might take for something it keeps."""

canaries = st.builds(str.format, st.sampled_from(WRITTEN), st.sampled_from(WORDS))
keys = canaries | st.sampled_from(
    ["text", "name", "display", "note", "valueString", "extension", "_id", "contained", "div"]
)
anything = st.recursive(
    canaries,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=2),
    max_leaves=4,
)
_SYSTEMS = st.sampled_from(
    [
        "http://loinc.org",
        "http://snomed.info/sct",
        "http://hl7.org/fhir/sid/icd-10-cm",
        "http://hl7.org/fhir/sid/icd-10-pcs",
        "http://terminology.hl7.org/CodeSystem/v3-ActPriority",
        "urn:ietf:bcp:47",
    ]
)
codings = st.fixed_dictionaries(
    {"system": _SYSTEMS | canaries, "code": canaries | st.sampled_from(["EM", "en", "2951-2"])},
    optional={"display": canaries, "version": canaries},
)
concepts = st.fixed_dictionaries(
    {}, optional={"coding": st.lists(codings, max_size=2), "text": canaries}
)
references = st.fixed_dictionaries({"reference": canaries}, optional={"display": canaries})
quantities = st.fixed_dictionaries(
    {"value": st.integers(0, 10**12) | canaries},
    optional={"unit": canaries, "code": canaries, "comparator": canaries, "system": canaries},
)
identifiers = st.fixed_dictionaries({"system": canaries, "value": canaries})
_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
demographics = st.fixed_dictionaries(
    {"url": st.sampled_from([_CORE + "race", _CORE + "birthsex"]) | canaries},
    optional={
        "valueCode": canaries,
        "extension": st.lists(
            st.fixed_dictionaries(
                {"url": st.just("ombCategory") | canaries, "valueCoding": codings}
            ),
            max_size=2,
        ),
    },
)
addresses = st.fixed_dictionaries(
    {"postalCode": canaries | st.just("02139"), "country": canaries | st.just("US")},
    optional={"line": st.lists(canaries, max_size=2), "city": canaries},
)
_SHAPES: dict[Treatment, st.SearchStrategy[Any]] = {
    Treatment.CODING: codings,
    Treatment.CONCEPT: concepts,
    Treatment.REFERENCE: references,
    Treatment.NAMED_REFERENCE: references,
    Treatment.QUANTITY: quantities,
    Treatment.DRUG_IDENTIFIER: identifiers,
    Treatment.DEMOGRAPHICS: demographics,
    Treatment.ZIP3: addresses,
}


def _content(below: "Rule | Branch") -> st.SearchStrategy[Any]:
    if not isinstance(below, Rule):
        return _element(below) | st.lists(_element(below), max_size=2)
    if below.treatment is Treatment.PATIENT:
        return st.just({"reference": "Patient/Zebedee Quillfeather", "display": "Zebedee"})
    if below.treatment is Treatment.CONTAINED:
        return st.lists(_element(allow_list()["Medication"], "Medication"), max_size=1)
    shaped = _SHAPES.get(below.treatment, canaries)
    return shaped | st.lists(shaped, max_size=2) | anything


def _element(branch: Branch, resource_type: str | None = None) -> st.SearchStrategy[Any]:
    listed = st.fixed_dictionaries(
        {} if resource_type is None else {"resourceType": st.just(resource_type), "id": canaries},
        optional={name: _content(below) for name, below in branch.items() if name != "id"},
    )
    unlisted = st.dictionaries(keys, anything, max_size=3)
    # What is listed has the last word, so that a resource is still one.
    return st.builds(lambda more, known: more | known, unlisted, listed)


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    """A resource of a listed type, about the patient of that name, and canaries besides."""
    resource_type = draw(st.sampled_from(sorted(allow_list())))
    branch = allow_list()[resource_type]
    resource: dict[str, Any] = draw(_element(branch, resource_type))
    for name, below in branch.items():
        if isinstance(below, Rule) and below.treatment is Treatment.PATIENT:
            resource[name] = draw(_content(below))
    return resource
