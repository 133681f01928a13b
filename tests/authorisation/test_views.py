"""What a data scientist sees of a score: the numbers and the reasons, and nobody behind them."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.features.declaration import declared_features
from service import examples
from service.identity.roles import Role
from service.protection.keys import new_keys
from service.score import NotScored, Reason, Scored, StaleInput, UnreadRecord
from service.score_list import PatientScores, ScoreSummary
from service.views import AGE_FEATURES, FIELDS, ROLE_VIEWS, View, seen, view_of

KEYS = new_keys()
ANSWERS = (examples.SCORED, examples.NOT_SCORED, examples.SCORES)
FULL_DATE = re.compile(r"[0-9]{4}-[0-9]{2}")


def structs_in(kind: Any) -> set[type[msgspec.Struct]]:
    """A struct with all that its fields may hold."""
    found: set[type[msgspec.Struct]] = set()
    waiting = [msgspec.inspect.type_info(kind)]
    while waiting:
        info = waiting.pop()
        if isinstance(info, msgspec.inspect.StructType):
            found.add(info.cls)
            waiting += [field.type for field in info.fields]
        for inner in ("types", "item_types"):
            waiting += getattr(info, inner, ())
        for inner in ("item_type", "type"):
            if isinstance(getattr(info, inner, None), msgspec.inspect.Type):
                waiting.append(getattr(info, inner))
    return found


def test_every_field_of_every_answer_about_a_patient_is_declared() -> None:
    structs = structs_in(Scored) | structs_in(NotScored) | structs_in(PatientScores)
    assert {Reason, StaleInput, UnreadRecord, ScoreSummary} <= structs
    for struct in structs:
        assert set(FIELDS[struct]) == set(struct.__struct_fields__), struct.__name__
    assert set(FIELDS) == structs


def test_a_field_that_is_not_declared_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {name: one for name, one in FIELDS[Reason].items() if name != "phrase"}
    monkeypatch.setitem(FIELDS, Reason, fields)
    with pytest.raises(KeyError):
        seen(examples.SCORED, View.WITHOUT_IDENTITY, KEYS)


def test_every_role_has_a_view_or_is_said_to_have_none() -> None:
    assert set(ROLE_VIEWS) == set(Role)
    assert view_of([Role.AUDITOR, Role.ADMINISTRATOR]) is None
    assert view_of([Role.DATA_SCIENTIST, Role.AUDITOR]) is View.WITHOUT_IDENTITY
    assert view_of([Role.DATA_SCIENTIST, Role.CLINICIAN]) is View.WHOLE
    assert view_of([], is_system=True) is View.WHOLE
    assert view_of([]) is None


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: type(one).__name__)
def test_the_whole_view_is_the_answer_itself(answer: Any) -> None:
    assert seen(answer, View.WHOLE, KEYS) == answer


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: type(one).__name__)
def test_without_identity_nothing_names_a_patient_a_record_or_a_day(answer: Any) -> None:
    shown = seen(answer, View.WITHOUT_IDENTITY, KEYS)
    text = msgspec.json.encode(shown).decode()
    for name in ("example-", "Cardiology", "Observation/", "Encounter/", "Condition/"):
        assert name not in text
    assert not FULL_DATE.search(text)
    msgspec.json.decode(text, type=type(answer))


def test_without_identity_the_numbers_and_the_reasons_stay() -> None:
    shown = seen(examples.SCORED, View.WITHOUT_IDENTITY, KEYS)
    assert shown.probability == examples.SCORED.probability
    assert [one.contribution for one in shown.reasons] == [
        one.contribution for one in examples.SCORED.reasons
    ]
    assert [one.evidence_count for one in shown.reasons] == [1, 1, 1]
    assert shown.reasons[1].phrase == "sodium 131 mmol/L on 2026"
    assert shown.stale_inputs[0].date == "2024"
    assert shown.as_of == "2026"


def test_a_pseudonym_is_the_same_in_every_answer_and_another_with_other_keys() -> None:
    shown = seen(examples.SCORED, View.WITHOUT_IDENTITY, KEYS)
    listed = seen(examples.SCORES, View.WITHOUT_IDENTITY, KEYS)
    assert (shown.subject, shown.encounter_id) == (listed.patient, listed.scores[0].encounter_id)
    assert shown.subject != shown.encounter_id
    assert seen(examples.SCORED, View.WITHOUT_IDENTITY, new_keys()).subject != shown.subject


@given(
    words=st.text(max_size=40),
    date=st.dates().map(str),
    evidence=st.lists(st.uuids().map(lambda name: f"Observation/{name}"), max_size=5),
    unread=st.text(min_size=8, max_size=40),
)
def test_whatever_a_score_holds_no_day_and_no_record_is_seen(
    words: str, date: str, evidence: list[str], unread: str
) -> None:
    reason = msgspec.structs.replace(
        examples.SCORED.reasons[0],
        phrase=f"{words} on {date}",
        date=date,
        evidence=tuple(evidence),
    )
    score = msgspec.structs.replace(
        examples.SCORED, reasons=(reason,), unread=(UnreadRecord(element=unread, reason=unread),)
    )
    shown = seen(score, View.WITHOUT_IDENTITY, KEYS)
    assert shown.unread == ()
    assert shown.reasons[0].evidence == ()
    assert shown.reasons[0].date == date[:4]
    assert date not in json.dumps(msgspec.to_builtins(shown))


def test_the_features_that_are_ages_are_known() -> None:
    ages = {feature.name for feature in declared_features() if feature.measure == "age"}
    assert ages == AGE_FEATURES


@pytest.mark.parametrize(("age", "shown"), [(89.9, 89.9), (90.0, 90.0), (101.4, 90.0)])
def test_ages_above_89_are_one_group(age: float, shown: float) -> None:
    reason = msgspec.structs.replace(
        examples.SCORED.reasons[0], feature="age", value=age, phrase=f"{age} years old"
    )
    score = msgspec.structs.replace(examples.SCORED, reasons=(reason,))
    (found,) = seen(score, View.WITHOUT_IDENTITY, KEYS).reasons
    assert found.value == shown
    assert ("90 years old or older" in found.phrase) == (age >= 90)
