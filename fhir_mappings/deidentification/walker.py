"""A new resource from an old one: what the allow-list names, treated as it says, and nothing else.

Nothing is copied but numbers and truth values. Every text in what is written is a pseudonym, a date
made of digits, or a word of a closed list of ours.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from fhir_mappings.deidentification.allow_list import Branch, Rule, Treatment, allow_list, only
from fhir_mappings.deidentification.codes import MASKED, PublicCodes
from fhir_mappings.deidentification.data_files import column
from fhir_mappings.deidentification.dates import Calendar, Dates, Span, day_of
from fhir_mappings.deidentification.measurements import POOLED, quantity, whole_number
from fhir_mappings.deidentification.pseudonyms import Pseudonyms
from fhir_mappings.deidentification.references import CONTAINED, FullUrls, Named, referred
from fhir_mappings.deidentification.tally import Tally
from fhir_mappings.deidentification.zip_codes import zip3
from fhir_mappings.profiles import SiteProfile

Json = dict[str, Any]
Treated = tuple[Any, str]
"""What is written, None for nothing, and what the report calls it."""

_DROPPED: Final[Treated] = (None, "dropped")
_AGE_CODES = column("age_codes.csv", "code")
_US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
_BIRTH_SEXES = ("F", "M", "OTH", "UNK", "ASKU")


class _About(NamedTuple):
    """What the elements of one resource are treated by."""

    calendar: Calendar | None
    full_urls: FullUrls
    is_age: bool = False
    in_list: bool = False


class Walker:
    """Writes resources anew.

    Args:
        names: the pseudonyms of this export.
        profile: the site's, for its local codes.
        dates: what becomes of dates.
        tally: where it is counted.
    """

    def __init__(self, names: Pseudonyms, profile: SiteProfile, dates: Dates, tally: Tally) -> None:
        self._names = names
        self._codes = PublicCodes(profile)
        self._drug_systems = profile.medication_identifiers
        self._dates = dates
        self._tally = tally
        self._listed = allow_list()
        self.spans: dict[str, Span] = {}
        """How far each patient's record reaches, by id; ``survey`` fills it."""
        told = {Treatment.DATE} | ({Treatment.INSTANT} if dates is Dates.SHIFTED else set())
        self._dated = {name: only(branch, frozenset(told)) for name, branch in self._listed.items()}
        self._treat: dict[Treatment, Callable[[Any, Rule, _About], Treated]] = {
            Treatment.PSEUDONYM: self._pseudonym,
            Treatment.PATIENT: self._reference,
            Treatment.REFERENCE: self._reference,
            Treatment.NAMED_REFERENCE: self._named_reference,
            Treatment.CONTAINED: self._contained,
            Treatment.DATE: self._date,
            Treatment.PLANNED_DATE: self._planned_date,
            Treatment.CALENDAR_DATE: self._calendar_date,
            Treatment.INSTANT: self._instant,
            Treatment.BIRTH_DATE: self._birth_date,
            Treatment.ZIP3: self._zip3,
            Treatment.CODING: self._coding,
            Treatment.CONCEPT: self._concept,
            Treatment.SERVICE: self._service,
            Treatment.DRUG_IDENTIFIER: self._drug_identifier,
            Treatment.DEMOGRAPHICS: self._demographics,
            Treatment.QUANTITY: self._quantity,
            Treatment.WHOLE_NUMBER: self._whole_number,
            Treatment.BOOLEAN: self._boolean,
            Treatment.ONE_OF: self._one_of,
        }

    def survey(self, named: Named, resource: Json, full_urls: FullUrls) -> None:
        """Take notice of how far the record of the resource's patient reaches."""
        patient = self._patient_of(named, resource, full_urls)
        if patient is None:
            return
        span = self.spans.get(patient, Span())
        if named.resource_type == "Patient" and (born := day_of(resource.get("birthDate"))):
            span = span.with_birth(born)
        for text in _found(resource, self._dated[named.resource_type]):
            if (day := day_of(text)) is not None:
                span = span.with_date(day)
        self.spans[patient] = span

    def written(self, named: Named, resource: Json, full_urls: FullUrls) -> Json | None:
        """The resource without identifiers; None, and counted, where it is not written at all."""
        resource_type = named.resource_type
        branch = self._listed.get(resource_type)
        if branch is None:
            self._tally.left_out(resource_type, "type not listed")
            return None
        if not named.identifier:
            self._tally.left_out(resource_type, "without an id")
            return None
        patient = self._patient_of(named, resource, full_urls)
        if patient is None and resource_type in _ABOUT_A_PATIENT:
            self._tally.left_out(resource_type, "about no patient")
            return None
        self._tally.written[resource_type] += 1
        about = _About(None if patient is None else self._calendar(patient), full_urls)
        # An id that only the Bundle gives is written, too: first, because lines are sorted by it.
        start = {"resourceType": resource_type, "id": self._names.of(*named)}
        return start | self._branch(resource, branch, resource_type, about) | start

    def _calendar(self, patient: str) -> Calendar:
        return Calendar(self._dates, self._names.weeks(patient), self.spans.get(patient, Span()))

    def _patient_of(self, named: Named, resource: Json, full_urls: FullUrls) -> str | None:
        if named.resource_type == "Patient":
            return named.identifier or None
        element = _ABOUT_A_PATIENT.get(named.resource_type)
        found = element and referred(resource.get(element), ("Patient",), full_urls)
        return found.identifier if found else None

    def _branch(self, value: Json, branch: Branch, path: str, about: _About) -> Json:
        if "code" in value and not about.is_age and self._is_age(value["code"]):
            about = about._replace(is_age=True)
        kept: Json = {}
        for name, content in value.items():
            below = branch.get(name)
            if below is None:
                if name != "resourceType":
                    self._tally.unlisted(path, name)
                continue
            if isinstance(below, Rule):
                found = self._treated(content, below, about)
            else:
                found = self._descended(content, below, f"{path}.{name}", about)
            if found is not None:
                kept[name] = found
        return kept

    def _descended(self, content: Any, branch: Branch, path: str, about: _About) -> Any:
        if isinstance(content, list):
            items = [self._descended(each, branch, path, about) for each in content]
            return [each for each in items if each is not None] or None
        if isinstance(content, dict):
            return self._branch(content, branch, path, about) or None
        self._tally.element(path, "dropped")
        return None

    def _treated(self, content: Any, rule: Rule, about: _About) -> Any:
        if isinstance(content, list) and not about.in_list:
            inside = about._replace(in_list=True)
            items = [self._treated(each, rule, inside) for each in content]
            return [each for each in items if each is not None] or None
        found, outcome = self._treat[rule.treatment](content, rule, about)
        self._tally.element(rule.path, outcome)
        return found

    def _pseudonym(self, content: Any, rule: Rule, _about: _About) -> Treated:
        if not isinstance(content, str) or not content:
            return _DROPPED
        return self._names.of(rule.path.partition(".")[0], content), "pseudonym"

    def _reference(self, content: Any, rule: Rule, about: _About) -> Treated:
        found = referred(content, rule.of, about.full_urls)
        if found is None:
            return _DROPPED
        between = "" if found.resource_type == CONTAINED else "/"
        pseudonym = self._names.of(*found)
        return {"reference": f"{found.resource_type}{between}{pseudonym}"}, "pseudonym"

    def _named_reference(self, content: Any, rule: Rule, about: _About) -> Treated:
        reference, _ = self._reference(content, rule, about)
        word = self._codes.word(content.get("display")) if isinstance(content, dict) else None
        kept = (reference or {}) | ({"display": word} if word else {})
        return (kept, "pseudonym" if reference else "code only") if kept else _DROPPED

    def _contained(self, content: Any, rule: Rule, about: _About) -> Treated:
        if not isinstance(content, dict) or content.get("resourceType") not in rule.of:
            return _DROPPED
        resource_type, identifier = content["resourceType"], content.get("id")
        if not isinstance(identifier, str) or not identifier:
            return _DROPPED
        start = {"resourceType": resource_type, "id": self._names.of(CONTAINED, identifier)}
        branch = self._listed[resource_type]
        inside = about._replace(in_list=False)
        return start | self._branch(content, branch, resource_type, inside) | start, "kept"

    def _date(self, content: Any, _rule: Rule, about: _About) -> Treated:
        told = about.calendar.moment(content) if about.calendar is not None else None
        return (told, self._of_dates) if told is not None else _DROPPED

    def _planned_date(self, content: Any, _rule: Rule, about: _About) -> Treated:
        told = about.calendar.planned(content) if about.calendar is not None else None
        return (told, self._of_dates) if told is not None else _DROPPED

    def _calendar_date(self, content: Any, _rule: Rule, about: _About) -> Treated:
        told = about.calendar.calendar_date(content) if about.calendar is not None else None
        return (told, "to the year") if told is not None else _DROPPED

    def _instant(self, content: Any, _rule: Rule, about: _About) -> Treated:
        told = about.calendar.instant(content) if about.calendar is not None else None
        return (told, self._of_dates) if told is not None else _DROPPED

    def _birth_date(self, content: Any, _rule: Rule, about: _About) -> Treated:
        if about.calendar is None:
            return _DROPPED
        told, pooled = about.calendar.birth(content)
        if told is None:
            return _DROPPED
        return told, "pooled" if pooled else self._of_dates

    @property
    def _of_dates(self) -> str:
        return "to the year" if self._dates is Dates.YEAR else "shifted"

    def _zip3(self, content: Any, _rule: Rule, _about: _About) -> Treated:
        found = zip3(content)
        return _DROPPED if found is None else ({"postalCode": found, "country": "US"}, "zip3")

    def _coding(self, content: Any, _rule: Rule, about: _About) -> Treated:
        return self._coded(content, self._codes.coding(content), about)

    def _concept(self, content: Any, rule: Rule, about: _About) -> Treated:
        kept, lost = self._codes.concept(content)
        if lost:
            self._tally.element(f"{rule.path}.coding", "dropped", lost)
        return self._coded(content, kept, about)

    def _service(self, content: Any, rule: Rule, about: _About) -> Treated:
        kept, outcome = self._concept(content, rule, about)
        if outcome == "masked" and self._codes.names_psychiatry(content):
            return {"text": "psych"}, "code only"
        return kept, outcome

    def _coded(self, content: Any, kept: Json | None, about: _About) -> Treated:
        if kept is not None:
            return kept, "code only"
        if isinstance(content, dict) and content and not about.in_list:
            return MASKED, "masked"
        return _DROPPED

    def _drug_identifier(self, content: Any, _rule: Rule, _about: _About) -> Treated:
        if not isinstance(content, dict) or content.get("system") not in self._drug_systems:
            return _DROPPED
        kept = self._codes.coding({"system": content["system"], "code": content.get("value")})
        if kept is None:
            return _DROPPED
        return {"system": kept["system"], "value": kept["code"]}, "code only"

    def _demographics(self, content: Any, _rule: Rule, _about: _About) -> Treated:
        url = content.get("url") if isinstance(content, dict) else None
        if url == _US_CORE + "birthsex" and content.get("valueCode") in _BIRTH_SEXES:
            return {"url": url, "valueCode": content["valueCode"]}, "code only"
        if url not in (_US_CORE + "race", _US_CORE + "ethnicity"):
            return _DROPPED
        parts = content.get("extension")
        found = [
            {"url": "ombCategory", "valueCoding": coding}
            for part in (parts if isinstance(parts, list) else [])
            if isinstance(part, dict) and part.get("url") == "ombCategory"
            if (coding := self._codes.coding(part.get("valueCoding"))) is not None
        ]
        return ({"url": url, "extension": found}, "code only") if found else _DROPPED

    def _quantity(self, content: Any, rule: Rule, about: _About) -> Treated:
        kept = quantity(content, is_age=about.is_age or rule.path.endswith("Age"))
        if kept is None:
            return _DROPPED
        return kept, "pooled" if kept == POOLED else "kept"

    def _whole_number(self, content: Any, _rule: Rule, about: _About) -> Treated:
        kept = whole_number(content, is_age=about.is_age)
        if kept is None:
            return _DROPPED
        return kept, "kept" if kept == content else "pooled"

    def _boolean(self, content: Any, _rule: Rule, _about: _About) -> Treated:
        return (content, "kept") if isinstance(content, bool) else _DROPPED

    def _one_of(self, content: Any, rule: Rule, _about: _About) -> Treated:
        return (content, "kept") if content in rule.of else _DROPPED

    def _is_age(self, code: Any) -> bool:
        kept, _ = self._codes.concept(code)
        codings = [] if kept is None else kept.get("coding", [])
        return any(self._codes.spelled(coding) in _AGE_CODES for coding in codings)


_ABOUT_A_PATIENT: Final = {
    resource_type: name
    for resource_type, branch in allow_list().items()
    for name, rule in branch.items()
    if isinstance(rule, Rule) and rule.treatment is Treatment.PATIENT
}
"""The element that names the patient, by resource type; a Medication has none."""


def _found(value: Any, branch: Branch) -> Iterator[Any]:
    """The contents of the elements of a branch."""
    for name, below in branch.items():
        content = value.get(name)
        for each in content if isinstance(content, list) else (content,):
            if isinstance(below, Rule):
                yield each
            elif isinstance(each, dict):
                yield from _found(each, below)
