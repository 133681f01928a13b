"""Values in a clinician's words."""

from datetime import UTC, datetime

import pytest

from fhir_mappings.concepts.written_units import written_unit
from fhir_mappings.errors import DeclarationError
from fhir_mappings.events import DAY
from fhir_mappings.features.declaration import Feature, Measure, Phrases, declared_features
from service.wording import local_date, number, phrase


def feature(
    *,
    many: str = "sodium {value} {unit} on {date}",
    zero: str = "",
    one: str = "",
    missing: str = "",
    measure: Measure = "latest",
    ucum: str | None = "mmol/L",
) -> Feature:
    return Feature(
        name="example",
        family="labs_and_vitals",
        description="Last sodium {of the stay}.",
        measure=measure,
        of="lab.sodium",
        window="stay",
        unit=ucum,
        rationale="An example.",
        reference="doi:10.0/example",
        phrases=Phrases(many=many, zero=zero, one=one, missing=missing),
    )


def microseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


NINTH_OF_MARCH = microseconds("2026-03-09T06:10:00+00:00")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (138.0, "138"),
        (7.4, "7.4"),
        (7.44, "7.4"),
        (36.96, "37"),
        (100.0, "100"),
        (0.0, "0"),
        (0.04, "0.04"),
        (0.0412, "0.041"),
        (0.5, "0.5"),
        (0.999, "1"),
        (-0.04, "-0.04"),
        (-3.0, "-3"),
        (-0.0, "0"),
        (12000.0, "12000"),
    ],
)
def test_numbers_are_written_as_clinicians_write_them(value: float, written: str) -> None:
    assert number(value) == written


@pytest.mark.parametrize(
    ("ucum", "written"),
    [
        ("mmol/L", "mmol/L"),
        ("mm[Hg]", "mmHg"),
        ("10*3/uL", "10³/µL"),
        ("[degF]", "°F"),
        ("{INR}", ""),
        ("{beats}/min", "/min"),
        ("1", ""),
        (None, ""),
    ],
)
def test_units_are_written_as_clinicians_write_them(ucum: str | None, written: str) -> None:
    assert written_unit(ucum) == written


def test_a_laboratory_value_is_said_with_unit_and_date() -> None:
    said = phrase(feature(), 131.0, as_of=NINTH_OF_MARCH + DAY, newest=NINTH_OF_MARCH)
    assert said == "sodium 131 mmol/L on 2026-03-09"


def test_a_date_is_that_of_the_hospitals_own_clock() -> None:
    late_in_utc = microseconds("2026-03-09T23:30:00+00:00")
    assert local_date(late_in_utc, 120) == "2026-03-10"
    assert local_date(late_in_utc, -300) == "2026-03-09"
    assert local_date(late_in_utc, None) == "2026-03-09"


def test_dates_before_1970_and_far_in_the_future_can_be_said() -> None:
    # De-identified records lie up to two centuries ahead.
    assert local_date(microseconds("2201-07-04T12:00:00+00:00"), 0) == "2201-07-04"
    assert local_date(microseconds("1931-02-03T12:00:00+00:00"), 0) == "1931-02-03"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "no visit"),
        (1.0, "1 visit"),
        (1.04, "1 visit"),
        (3.0, "3 visits"),
        (None, "visits not recorded"),
    ],
)
def test_none_one_and_many_have_their_own_phrases(value: float | None, said: str) -> None:
    visits = feature(
        many="{value} visits",
        zero="no visit",
        one="1 visit",
        missing="visits not recorded",
        measure="count",
        ucum=None,
    )
    assert phrase(visits, value, as_of=0) == said


def test_an_undeclared_phrase_for_zero_and_one_falls_back_to_the_general_one() -> None:
    creatinine = feature(many="creatinine {value} {unit}", ucum="mg/dL")
    assert phrase(creatinine, 1.0, as_of=0) == "creatinine 1 mg/dL"
    assert phrase(creatinine, 0.0, as_of=0) == "creatinine 0 mg/dL"


def test_a_missing_value_without_a_phrase_is_said_by_its_description() -> None:
    assert phrase(feature(), None, as_of=0) == "Last sodium {of the stay}: not recorded"


def test_a_unit_that_is_not_written_leaves_no_gap() -> None:
    inr = feature(many="INR {value} {unit} on {date}", ucum="{INR}")
    assert phrase(inr, 2.5, as_of=0, newest=NINTH_OF_MARCH) == "INR 2.5 on 2026-03-09"


def test_people_count_completed_years() -> None:
    age = feature(many="{value} years old", measure="age", ucum="a")
    assert phrase(age, 78.97, as_of=0) == "78 years old"


def test_presence_is_yes_or_no() -> None:
    dialysis = feature(many="dialysis: {value}", measure="present", ucum=None)
    assert phrase(dialysis, 1.0, as_of=0) == "dialysis: yes"
    assert phrase(dialysis, 0.0, as_of=0) == "dialysis: no"


def test_days_are_counted_back_from_the_moment_of_scoring() -> None:
    ago = feature(many="{value} {unit}, {days} days ago")
    as_of = NINTH_OF_MARCH + 3 * DAY + DAY // 2
    assert phrase(ago, 131.0, as_of=as_of, newest=NINTH_OF_MARCH) == "131 mmol/L, 3 days ago"


def test_a_template_with_a_field_of_another_name_is_a_fault_of_the_declaration() -> None:
    with pytest.raises(DeclarationError, match="example"):
        phrase(feature(many="{patient} {value}"), 1.0, as_of=0)


@pytest.mark.parametrize("value", [None, 0.0, 1.0, 2.5])
def test_every_declared_feature_can_be_said(value: float | None) -> None:
    now = int(datetime(2026, 3, 9, tzinfo=UTC).timestamp()) * 1_000_000
    for declared in declared_features():
        said = phrase(declared, value, as_of=now, newest=now)
        assert said
        assert "{" not in said
        assert "  " not in said
