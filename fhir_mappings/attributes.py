"""Who a stay is about, as a person reads it: what stays are grouped by, and never a feature.

What a record does not say is None, and so is what it says it does not know. Declared features may
use sex and age in their own way (``fhir_mappings/features``); nothing here reaches a model.
"""

from fhir_mappings.events import DAY, Event
from fhir_mappings.features.engine import OLDEST, View
from fhir_mappings.timeline import Timeline

ATTRIBUTES = (
    "sex",
    "age_band",
    "race",
    "ethnicity",
    "language",
    "payer",
    "site",
    "discharge_to",
)
"""What stays are grouped by to ask for whom a model works, where the record says it."""

RACES = {
    "1002-5": "American Indian or Alaska Native",
    "2028-9": "Asian",
    "2054-5": "Black or African American",
    "2076-8": "Native Hawaiian or Other Pacific Islander",
    "2106-3": "White",
    "2131-1": "Other Race",
    "2135-2": "Hispanic or Latino",
    "2118-8": "Middle Eastern or North African",
}
"""CDC Race and Ethnicity codes (CDCREC) of the OMB's categories; the last two are answers to the
one question on race and ethnicity of OMB Directive 15 of 2024."""
SEVERAL_RACES = "More than one race"

ETHNICITIES = {"2135-2": "Hispanic or Latino", "2186-5": "Not Hispanic or Latino"}
"""The OMB's two categories of ethnicity."""

SEXES = ("female", "male", "other")
"""Administrative gender; ``unknown`` is no group."""

PAYERS = {
    "medicare": "Medicare",
    "medicaid": "Medicaid",
    "private": "private",
    "self_pay": "self-pay",
    "other": "other",
}

DESTINATIONS = {
    "home": "home",
    "home_care": "home with care",
    "skilled_nursing": "skilled nursing",
    "rehabilitation": "rehabilitation",
    "long_term": "long-term care",
    "psychiatric": "psychiatric hospital",
    "hospice": "hospice",
    "transfer": "another hospital",
    "against_advice": "left against advice",
    "expired": "died",
    "other": "other",
}

AGE_BANDS = (
    (18, "under 18"),
    (45, "18 to 44"),
    (65, "45 to 64"),
    (75, "65 to 74"),
    (85, "75 to 84"),
    (OLDEST + 1, "85 and over"),
)
"""Each band with the age in years that it ends before."""

LANGUAGES = {
    "am": "Amharic", "ar": "Arabic", "ase": "American Sign Language", "bn": "Bengali",
    "bs": "Bosnian", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian", "fi": "Finnish",
    "fil": "Filipino", "fr": "French", "gu": "Gujarati", "he": "Hebrew", "hi": "Hindi",
    "hmn": "Hmong", "hr": "Croatian", "ht": "Haitian Creole", "hu": "Hungarian", "hy": "Armenian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "km": "Khmer", "ko": "Korean",
    "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian", "ml": "Malayalam", "my": "Burmese",
    "ne": "Nepali", "nl": "Dutch", "no": "Norwegian", "pa": "Punjabi", "pl": "Polish",
    "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak", "sl": "Slovenian",
    "so": "Somali", "sq": "Albanian", "sr": "Serbian", "sv": "Swedish", "sw": "Swahili",
    "ta": "Tamil", "te": "Telugu", "th": "Thai", "ti": "Tigrinya", "tl": "Tagalog",
    "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "yi": "Yiddish",
    "yue": "Cantonese", "zh": "Chinese",
}  # fmt: skip
"""Languages by the primary subtag of BCP 47 (ISO 639); one that is not here keeps its code."""

_YEAR = 365.2425 * DAY
_OURS = tuple(f"readmit/{facet}|" for facet in ("sex", "race", "ethnicity", "language", "payer"))
_NOT_SAID = frozenset({"und", "mis", "zxx", "unk", "unknown"})


def attributes(view: View) -> dict[str, str | None]:
    """What the record says of each of ``ATTRIBUTES`` about the view's stay, in their order."""
    facts = _facts(view.timeline)
    return {
        "sex": _sex(facts),
        "age_band": age_band(view),
        "race": _race(facts),
        "ethnicity": _ethnicity(facts),
        "language": _language(facts),
        "payer": _payer(facts, view.end),
        "site": view.stay.site,
        "discharge_to": DESTINATIONS.get(view.stay.disposition or ""),
    }


def age_band(view: View) -> str | None:
    """The band of the age at admission, exact to a day; None where it is not known."""
    birth = view.timeline.birth
    if birth is None:
        return None
    age = (view.stay.start - birth) / _YEAR
    if not 0 <= age <= OLDEST:
        return None
    return next(band for end, band in AGE_BANDS if age < end)


_Facts = dict[str, list[tuple[str, Event]]]
"""Values with their events, by facet, in the order of time."""


def _facts(timeline: Timeline) -> _Facts:
    facts: _Facts = {}
    for code, events in timeline.by_code.items():
        if code.startswith(_OURS):
            facet, _, value = code.removeprefix("readmit/").partition("|")
            facts.setdefault(facet, []).extend((value, event) for event in events)
    return facts


def _values(facts: _Facts, facet: str) -> list[str]:
    return [value for value, _ in facts.get(facet, ())]


def _sex(facts: _Facts) -> str | None:
    return next((value for value in _values(facts, "sex") if value in SEXES), None)


def _race(facts: _Facts) -> str | None:
    names = {RACES[value] for value in _values(facts, "race") if value in RACES}
    return SEVERAL_RACES if len(names) > 1 else next(iter(names), None)


def _ethnicity(facts: _Facts) -> str | None:
    names = {ETHNICITIES[v] for v in _values(facts, "ethnicity") if v in ETHNICITIES}
    return names.pop() if len(names) == 1 else None


def _language(facts: _Facts) -> str | None:
    """The preferred language, else the only one: of several, nobody said which to use."""
    spoken = facts.get("language", [])
    preferred = [value for value, event in spoken if event.text == "preferred"]
    codes = {_primary(value) for value in preferred or [value for value, _ in spoken]}
    codes -= _NOT_SAID
    if len(codes) != 1:
        return None
    code = codes.pop()
    return LANGUAGES.get(code, code)


def _primary(tag: str) -> str:
    """A language tag without script and region: ``es`` of ``es-MX``."""
    return tag.replace("_", "-").partition("-")[0].lower()


def _payer(facts: _Facts, discharged: int) -> str | None:
    """The payer in force at the discharge; of several the primary, else the one that began last."""
    in_force = [
        (event.value if event.value is not None else float("inf"), -event.time, value)
        for value, event in facts.get("payer", ())
        if event.time is not None
        and event.time <= discharged
        and (event.end is None or event.end >= discharged)
    ]
    return PAYERS[min(in_force)[2]] if in_force else None
