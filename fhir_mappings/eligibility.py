"""For whom a score means something: the intended population, told at the moment of scoring.

The cohort that a model learns from and the patients that the service scores are told by this one
function, so that a model is never used on a kind of stay that it has not seen. What only the
future can tell (a death within the horizon, follow-up) is the cohort's own.
"""

from typing import NamedTuple

from fhir_mappings.consent import OptOuts, Use, refuses
from fhir_mappings.events import DAY, Event
from fhir_mappings.features.engine import OLDEST, View
from fhir_mappings.stays import Stay

ADULT_YEARS = 18
"""CMS counts from 65; a hospital's own programme takes adults."""
_YEAR = 365.2425 * DAY


class Ineligible(NamedTuple):
    """Why a stay is outside the intended population."""

    code: str
    """Stable, for machines and flow tables."""
    sentence: str
    """For people."""


OPTED_OUT = "opted_out"
"""The code of a patient who does not want the use: by a Consent, or by the site's list."""

REASONS: dict[str, str] = {
    OPTED_OUT: "The patient has opted out.",
    "unknown_age": "The patient's birth date is missing or implausible.",
    "child": "The patient was under 18 at admission; the model is for adults.",
    "died": "The stay ended in death.",
    "against_advice": "The patient left against medical advice.",
    "transferred_out": "The patient was transferred to another acute hospital.",
    "hospice": "The patient was discharged to hospice care.",
    "obstetric": "The stay is obstetric; the model is not for births and pregnancies.",
    "newborn": "The patient was born in this stay.",
    "psychiatric": "The stay is psychiatric by its principal diagnosis or service.",
    "rehabilitation": "The stay is for rehabilitation.",
    "chemotherapy": "The stay is for scheduled cancer treatment.",
    "too_little_data": "There is no diagnosis, measurement, medication or procedure on record.",
}
"""Every reason with what a person reads (CMS hospital-wide readmission measure, who counts)."""

_DISPOSITIONS = {
    "against_advice": "against_advice",
    "transfer": "transferred_out",
    "hospice": "hospice",
}
_MEANINGFUL = frozenset({"diagnosis", "problem", "observation", "procedure"})


def why_not(view: View, use: Use, opt_outs: OptOuts) -> Ineligible | None:
    """Why the index stay of this view is outside the intended population; None where it is inside.

    Checked in the order in which a flow table shows it: whether the patient wants it, age, how the
    stay ended, what it was for.

    Args:
        view: the stay, as of a moment.
        use: what is to be done with it.
        opt_outs: who is on the site's list, and when the record is used; not optional, since
            whoever left it out would score those who said no.
    """
    if refuses(view.timeline.subject, view.timeline.consents, use, opt_outs):
        code: str | None = OPTED_OUT
    else:
        code = _why_not(view)
    return None if code is None else Ineligible(code, REASONS[code])


def _why_not(view: View) -> str | None:
    if view.stay.admission_source == "born" or _is_birth(view):
        return "newborn"
    birth = view.timeline.birth
    if birth is None or not 0 <= view.stay.start - birth <= OLDEST * _YEAR:
        return "unknown_age"
    if view.stay.start - birth < ADULT_YEARS * _YEAR:
        return "child"
    if died_in(view.stay, view.timeline.death, min(view.end, view.as_of)):
        return "died"
    if view.stay.disposition in _DISPOSITIONS:
        return _DISPOSITIONS[view.stay.disposition]
    return _purpose(view) or _too_little(view)


def died_in(stay: Stay, death: int | None, until: int | None) -> bool:
    """Whether a stay ended in death: by its disposition, or by the date of death.

    A death on the day of admission that is dated without a clock stands at midnight, before the
    stay's start, and is a death in hospital all the same. That no stay starts long after a death
    is seen to where encounters are found (``find_visits``).

    Args:
        stay: the stay as far as it is known.
        death: microseconds UTC; None where none is recorded.
        until: the discharge, or the moment of asking while the patient is in hospital; None where
            the record has no discharge, and then the disposition alone tells.

    """
    if stay.disposition == "expired":
        return True
    return death is not None and until is not None and death <= until


def _is_birth(view: View) -> bool:
    of = view.timeline.concepts.of
    return any(name.startswith("newborn.") for code in stay_codes(view) for name in of(code))


def _purpose(view: View) -> str | None:
    """What kind of stay it was, where that puts it outside."""
    named = {
        concept for code in principal_codes(view) for concept in view.timeline.concepts.of(code)
    }
    families = {concept.partition(".")[0] for concept in named}
    coded = {concept for code in stay_codes(view) for concept in view.timeline.concepts.of(code)}
    if any(concept.startswith("obstetric.") for concept in coded):
        return "obstetric"
    if "psychiatric" in families or any("psych" in s.lower() for s in view.stay.services):
        return "psychiatric"
    if "rehabilitation" in families:
        return "rehabilitation"
    if "treatment.chemotherapy" in named or "planned.always_diagnosis" in named:
        return "chemotherapy"
    return None


def _too_little(view: View) -> str | None:
    for event in view.timeline.events:
        known = event.known_at is not None and event.known_at <= view.as_of
        if known and (event.kind in _MEANINGFUL or event.kind.startswith("medication")):
            return None
    return "too_little_data"


def stay_codes(view: View) -> set[str]:
    """Codes of diagnoses, procedures and encounter types of the stay, known at ``as_of``."""
    kinds = ("diagnosis", "procedure", "encounter")
    return {event.code for event in _seen(view, view.stay.all_encounters) if event.kind in kinds}


def principal_codes(view: View) -> set[str]:
    """Codes of the principal diagnosis: the one ranked first, else the reason for the encounter.

    Empty where the record names neither (MIMIC-IV ranks nothing).
    """
    seen = _seen(view, view.stay.encounters)
    sources = {event.text for event in seen if event.code == "readmit/principal-diagnosis|"}
    ranked = {event.code for event in seen if event.source in sources}
    if ranked:
        return ranked
    return {event.code for event in seen if event.kind == "encounter" and event.text == "reason"}


def _seen(view: View, encounters: tuple[str, ...]) -> list[Event]:
    """The events of these encounters that were known at the moment of scoring."""
    return [
        event
        for event in view.timeline.events
        if event.encounter in encounters
        and event.known_at is not None
        and event.known_at <= view.as_of
    ]
