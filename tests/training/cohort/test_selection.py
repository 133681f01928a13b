"""Index stays and their outcomes, with every exclusion counted."""

from collections import Counter
from datetime import date
from itertools import pairwise, product

import pytest
from records import (
    concept,
    condition,
    encounter,
    ingested,
    lab,
    left_for,
    moment,
    ndjson,
    patient,
    problem,
    procedure,
    timeline,
    urgency,
)

from fhir_mappings.eligibility import died_in
from fhir_mappings.errors import SiteProfileError, StudyError
from fhir_mappings.profiles import load_profile
from fhir_mappings.store import open_store
from training.cohort.selection import (
    STEPS,
    CohortRules,
    combine,
    count_returns,
    flow_table,
    select,
)
from training.dataset import end_of_data, select_cohort

RULES = CohortRules()
HOME = {"hospitalization": left_for("home")}
INDEX = encounter("index", 0, 4, **HOME)
DEFAULT = load_profile("default")


def cohort(*resources, rules=RULES, until=None, who=None):
    whole = timeline(patient() if who is None else who, lab("l", 1), *resources)
    return select(whole, rules, until)


def first(*resources, **how):
    """The outcome of the stay named ``index``."""
    (one,) = [s for s in cohort(*resources, **how).index_stays if s.encounter == "index"]
    return one


def reasons(*resources, **how):
    return {code: n for code, n in cohort(*resources, **how).excluded.items() if n}


@pytest.mark.parametrize(
    ("start", "readmitted"),
    [(4.6, True), (10, True), (34, True), (34 + 1e-6, False), (60, False)],
)
def test_return_counts_from_after_the_discharge_to_the_thirtieth_day(start, readmitted):
    one = first(INDEX, encounter("back", start, start + 2))
    assert one.readmitted is readmitted
    assert one.days_to_readmission == (pytest.approx(start - 4) if readmitted else None)


def test_continuation_within_twelve_hours_is_no_return():
    found = cohort(INDEX, encounter("onward", 4.5, 9, **HOME))
    assert [(stay.encounter, stay.readmitted) for stay in found.index_stays] == [("onward", False)]


@pytest.mark.parametrize("days", [7, 14, 90])
def test_horizon_may_be_another(days):
    rules = CohortRules(horizon_days=days)
    assert first(INDEX, encounter("back", 3.9 + days, 99), rules=rules).readmitted
    assert not first(INDEX, encounter("back", 4.1 + days, 120), rules=rules).readmitted


@pytest.mark.parametrize("kind", ["EMER", "OBSENC", "AMB"])
def test_only_an_inpatient_admission_is_a_return(kind):
    assert not first(INDEX, encounter("back", 10, 12, kind=kind)).readmitted


def test_planned_return_is_no_readmission_and_its_rule_is_kept():
    one = first(INDEX, encounter("back", 10, 12, priority=urgency("EL")))
    assert (one.readmitted, one.planned_return) == (False, "registered as elective")
    assert one.days_to_readmission is None


def test_unplanned_return_after_a_planned_one_does_not_count():
    planned = encounter("planned", 10, 12, priority=urgency("EL"))
    assert not first(INDEX, planned, encounter("back", 20, 22)).readmitted


def test_return_planned_by_codes_that_came_later_is_planned():
    transplant = procedure(
        "p",
        11,
        code=concept("http://www.cms.gov/Medicare/Coding/ICD10", "0TY00Z0"),
        encounter={"reference": "Encounter/back"},
    )
    one = first(INDEX, encounter("back", 10, 12), transplant)
    assert one.planned_return == "always-planned procedure"


def test_every_stay_of_a_chain_is_an_index_stay_of_its_own():
    chain = [encounter(f"s{day}", day, day + 2, **HOME) for day in (0, 10, 20)]
    found = cohort(*chain)
    assert [(s.encounter, s.readmitted) for s in found.index_stays] == [
        ("s0", True),
        ("s10", True),
        ("s20", False),
    ]


@pytest.mark.parametrize(("day", "within"), [("2024-03-20", True), ("2024-05-20", False)])
def test_death_after_discharge_is_counted_beside_the_label(day, within):
    one = first(INDEX, who=patient(deceasedDateTime=day))
    assert (one.readmitted, one.died_within_horizon) == (False, within)


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        (encounter("e", 0, None), "no_discharge"),
        (encounter("e", 0, 4, hospitalization=left_for("exp")), "died"),
        (encounter("e", 0, 4, hospitalization=left_for("aadvice")), "against_advice"),
        (encounter("e", 0, 4, hospitalization=left_for("other-hcf")), "transferred_out"),
        (encounter("e", 0, 4, hospitalization=left_for("hosp")), "hospice"),
    ],
)
def test_stay_that_does_not_count_is_excluded_by_its_reason(resource, code):
    assert cohort(resource).index_stays == []
    assert reasons(resource) == {code: 1}


def test_stay_is_excluded_by_what_was_coded_after_it():
    coded = condition("c", "O80", stay="index", recordedDate="2024-03-20T10:00:00Z")
    assert reasons(INDEX, coded) == {"obstetric": 1}


def test_death_by_date_on_the_day_of_a_short_stay_is_death_in_hospital():
    short = encounter("e", 0.3, 0.8)
    assert reasons(short, who=patient(deceasedDateTime="2024-03-01")) == {"died": 1}


@pytest.mark.parametrize(
    ("until", "rules", "excluded"),
    [
        (moment(34), RULES, {}),
        (moment(34) - 1, RULES, {"no_follow_up": 1}),
        (moment(5), CohortRules(follow_up=False), {}),
        (None, RULES, {}),
    ],
)
def test_stay_needs_its_follow_up_where_the_end_of_data_is_known(until, rules, excluded):
    assert reasons(INDEX, until=until, rules=rules) == excluded


@pytest.mark.parametrize(
    ("first", "end", "counts"),
    [
        (None, None, True),
        (date(2024, 3, 5), None, True),
        (date(2024, 3, 6), None, False),
        (None, date(2024, 3, 6), True),
        (None, date(2024, 3, 5), False),
        (date(2024, 3, 1), date(2024, 4, 1), True),
    ],
)
def test_only_discharges_within_the_dates_of_the_study_count(first, end, counts):
    rules = CohortRules(discharged_from=first, discharged_before=end)
    back = encounter("back", 20, 22)
    found = cohort(INDEX, back, rules=rules)
    kept = [stay for stay in found.index_stays if stay.encounter == "index"]
    assert bool(kept) is counts
    assert all(stay.readmitted for stay in kept), "a return after the dates is still a return"
    assert found.excluded["outside_dates"] + len(found.index_stays) == 2


def test_the_day_of_a_discharge_is_that_of_the_local_clock():
    late = encounter("late", 0, 1, period={
        "start": "2024-02-28T08:00:00-05:00", "end": "2024-02-29T22:30:00-05:00"
    })  # fmt: skip
    ill = problem("ill", "I50.9", "2024-01-01T10:00:00Z")
    assert cohort(late, ill, rules=CohortRules(discharged_before=date(2024, 3, 1))).index_stays
    assert not cohort(late, ill, rules=CohortRules(discharged_from=date(2024, 3, 1))).index_stays


def test_observation_stays_are_counted_and_left_out():
    found = cohort(INDEX, encounter("o", 60, 61, kind="OBSENC"))
    assert found.excluded["observation"] == 1
    assert found.counts["stays"] == 2
    assert found.counts["without_observation.stays"] == 1
    assert len(found.index_stays) == 1


def test_return_whatever_its_reason_is_counted_by_itself():
    stays = timeline(*(encounter(f"s{d}", d, d + 2) for d in (0, 10, 50, 82))).stays
    assert count_returns(stays) == 2
    assert count_returns(stays, days=10) == 1
    assert count_returns(()) == 0


@pytest.mark.parametrize(
    ("end", "died_on", "found"),
    [
        ("exp", None, True),
        ("home", "2024-03-03T00:00:00Z", True),
        ("home", "2024-03-01", True),
        ("home", "2024-03-09", False),
        ("home", None, False),
    ],
)
def test_death_in_hospital_is_told_by_disposition_or_date(end, died_on, found):
    whole = timeline(
        patient(deceasedDateTime=died_on), encounter("e", 0, 4, hospitalization=left_for(end))
    )
    stay = whole.stays[0]
    assert died_in(stay, whole.death, stay.end) is found
    counts = select(whole, RULES, None).counts
    assert counts["deaths_in_hospital"] == int(found)
    assert counts["without_observation.deaths_in_hospital"] == int(found)


def test_death_long_after_a_stay_without_discharge_is_no_death_in_hospital():
    found = cohort(encounter("e", 0, None), who=patient(deceasedDateTime="2025-06-01"))
    assert found.counts["deaths_in_hospital"] == 0


def test_flow_table_ends_with_the_index_stays():
    parts = [
        cohort(INDEX, encounter("e", 60, 62, hospitalization=left_for("exp"))),
        cohort(encounter("o", 60, 61, kind="OBSENC"), encounter("x", 0, None)),
        cohort(INDEX),
    ]
    whole = combine(parts)
    table = flow_table(whole.counts["stays_apart"], whole.excluded)
    assert (table[0].left, table[0].excluded) == (5, 0)
    assert table[-1].left == len(whole.index_stays) == 2
    assert [step.left for step in table] == sorted((step.left for step in table), reverse=True)
    for before, after in pairwise(table):
        assert before.left - after.excluded == after.left
    assert {step.step for step in table[1:-1]} <= set(STEPS.values())


def test_flow_holds_where_observation_joins_two_admissions():
    found = cohort(
        encounter("a", 0, 2, **HOME),
        encounter("o", 2.2, 3, kind="OBSENC"),
        encounter("b", 3.2, 6, **HOME),
    )
    assert (found.counts["stays"], found.counts["without_observation.stays"]) == (1, 2)
    assert found.excluded == {"observation": 1}
    table = flow_table(found.counts["stays_apart"], found.excluded)
    assert [(step.excluded, step.left) for step in table] == [(0, 3), (1, 2), (0, 2)]
    assert len(found.index_stays) == 2


def test_flow_of_any_mix_of_observation_and_admission_adds_up():
    for kinds in product(("IMP", "OBSENC"), repeat=4):
        found = cohort(
            *(encounter(f"e{n}", n, n + 0.8, kind=kind, **HOME) for n, kind in enumerate(kinds))
        )
        assert all(number >= 0 for number in found.excluded.values())
        table = flow_table(found.counts["stays_apart"], found.excluded)
        for before, after in pairwise(table):
            assert before.left - after.excluded == after.left
        assert table[-1].left == len(found.index_stays)


def test_flow_table_of_nobody_is_empty_and_adds_up():
    table = flow_table(0, Counter())
    assert [step.left for step in table] == [0, 0, 0]


@pytest.fixture
def store(tmp_path):
    lines = []
    for number in range(20):
        who = f"patient-{number}"
        lines += [
            patient(who),
            lab(f"l{number}", 1, who=who),
            encounter(f"i{number}", number, number + 3, who=who, **HOME),
        ]
        if number % 2:
            lines.append(encounter(f"r{number}", number + 13, number + 15, who=who, **HOME))
    ingested(tmp_path / "store", ("a.ndjson", ndjson(*lines)))
    return tmp_path / "store"


def test_cohort_of_a_store_is_that_of_its_patients(store):
    with open_store(store) as opened:
        found = select_cohort(opened, DEFAULT, CohortRules(follow_up=False))
    assert (found.patients, len(found.cohort.index_stays), found.readmissions) == (20, 30, 10)


def test_follow_up_ends_with_the_last_admission_on_record(store):
    with open_store(store) as opened:
        assert end_of_data(opened) == moment(32)
        found = select_cohort(opened, DEFAULT, RULES)
    assert found.cohort.excluded["no_follow_up"] == 30


def test_discharge_dates_are_counted_in_the_flow(store):
    rules = CohortRules(follow_up=False, discharged_before=date(2024, 3, 9))
    with open_store(store) as opened:
        found = select_cohort(opened, DEFAULT, rules)
    lines = {step.step: step.excluded for step in found.flow}
    assert lines["Discharged outside the study's dates"] == 25
    assert found.flow[-1].left == len(found.cohort.index_stays) == 5


def test_discharge_dates_mean_nothing_where_dates_are_shifted(store):
    rules = CohortRules(discharged_from=date(2024, 3, 9))
    with open_store(store) as opened, pytest.raises(StudyError, match="dates are shifted"):
        select_cohort(opened, load_profile("mimic"), rules)


def test_discharge_dates_in_the_wrong_order_are_refused(store):
    rules = CohortRules(discharged_from=date(2024, 3, 9), discharged_before=date(2024, 3, 9))
    with open_store(store) as opened, pytest.raises(StudyError, match="no discharge is both"):
        select_cohort(opened, DEFAULT, rules)


def test_store_without_stays_is_refused_with_the_classes_seen(tmp_path):
    lines = ndjson(patient(), encounter("a", 0, 1, kind="AMB"), encounter("b", 2, 3, kind="AMB"))
    ingested(tmp_path / "store", ("a.ndjson", lines))
    with open_store(tmp_path / "store") as opened, pytest.raises(SiteProfileError, match="AMB 2"):
        select_cohort(opened, DEFAULT, RULES)
