"""Whether an admission was planned, after the algorithm of the CMS hospital-wide measure (HWR).

Planned is (1) an always-planned procedure or diagnosis (transplant, maintenance chemotherapy,
rehabilitation), or (2) a potentially planned procedure without an acute principal diagnosis. Two
rules are ours, and are needed where records do not rank diagnoses: an admission that the hospital
itself registered as elective was planned, and a birth is neither return nor readmission.
"""

from fhir_mappings.eligibility import principal_codes, stay_codes
from fhir_mappings.features.engine import View

_URGENT = frozenset({"emergency", "urgent"})


def why_planned(view: View) -> str | None:
    """The rule by which the view's stay was planned, or None where it was not.

    Args:
        view: the stay in hindsight, so that what was coded after discharge counts.

    """
    of = view.timeline.concepts.of
    done = {concept for code in stay_codes(view) for concept in of(code)}
    principal = {concept for code in principal_codes(view) for concept in of(code)}
    urgent = view.stay.urgency in _URGENT or view.stay.emergency_visit is not None
    if any(name.startswith(("obstetric.", "newborn.")) for name in done):
        return "birth"
    if "planned.always_procedure" in done:
        return "always-planned procedure"
    if "planned.always_diagnosis" in principal or (
        not principal and not urgent and "planned.always_diagnosis" in done
    ):
        return "always-planned diagnosis"
    if "treatment.chemotherapy" in done and not urgent:
        return "scheduled cancer treatment"
    if "planned.acute_diagnosis" in principal:
        return None
    if "planned.potential_procedure" in done and not urgent:
        return "potentially planned procedure without an acute diagnosis"
    if view.stay.urgency == "elective" and view.stay.emergency_visit is None:
        return "registered as elective"
    return None
