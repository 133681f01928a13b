"""Stays: what a patient remembers as being in hospital, found in pieces of administration."""

import msgspec
import pytest
from records import concept, encounter, left_for, moment, patient, timeline, urgency

from fhir_mappings.events import DAY, HOUR
from fhir_mappings.features.engine import View
from fhir_mappings.profiles import StayRules, load_profile
from fhir_mappings.stays import find_stays, visible

MINUTE = 1 / 24 / 60


def stays(*resources, profile="default"):
    return [stay.encounters for stay in timeline(*resources, profile=profile).stays]


@pytest.mark.parametrize(
    ("hours", "found"),
    [
        (-12, [("a", "b")]),
        (0, [("a", "b")]),
        (0.25, [("a", "b")]),
        (12, [("a", "b")]),
        (12 + 1 / 60, [("a",), ("b",)]),
        (20.5, [("a",), ("b",)]),
    ],
)
def test_stay_that_starts_within_twelve_hours_of_the_end_continues_it(hours, found):
    start = 4 + hours / 24
    assert stays(encounter("a", 0, 4), encounter("b", start, start + 2)) == found


def test_how_near_is_near_enough_is_the_sites():
    site = load_profile("default")
    site = msgspec.structs.replace(site, stays=StayRules(merge_within_hours=24))
    assert stays(encounter("a", 0, 4), encounter("b", 5, 6), profile=site) == [("a", "b")]


def test_transfers_are_followed_from_one_to_the_next():
    chain = [encounter(name, day, day + 1) for name, day in (("a", 0), ("b", 1.4), ("c", 2.8))]
    (stay,) = timeline(*chain).stays
    assert (stay.encounters, stay.merged) == (("a", "b", "c"), 3)
    assert (stay.start, stay.end, stay.name) == (moment(0), moment(3.8), "c")


def test_duplicates_of_one_stay_are_one():
    assert stays(encounter("a", 0, 4), encounter("b", 0, 4)) == [("a", "b")]


def test_piece_within_a_stay_does_not_end_it():
    (stay,) = timeline(encounter("a", 0, 9), encounter("b", 2, 3)).stays
    assert (stay.end, stay.name, stay.merged) == (moment(9), "a", 2)
    assert stays(encounter("a", 0, 9), encounter("b", 2, 3), encounter("c", 9.2, 10)) == [
        ("a", "b", "c")
    ]


def test_urgency_is_of_the_first_and_disposition_of_the_last():
    first = encounter("a", 0, 2, priority=urgency("EM"), hospitalization=left_for("other-hcf"))
    last = encounter("b", 2, 5, priority=urgency("EL"), hospitalization=left_for("home"))
    (stay,) = timeline(last, first).stays
    assert (stay.urgency, stay.disposition) == ("emergency", "home")


def test_stay_left_open_takes_nothing_that_comes_later():
    found = timeline(encounter("a", 0, None), encounter("b", 30, 33), encounter("c", 60, 61)).stays
    assert [(stay.encounters, stay.end) for stay in found] == [
        (("a",), None),
        (("b",), moment(33)),
        (("c",), moment(61)),
    ]


def test_open_stay_takes_what_starts_with_it():
    found = timeline(encounter("a", 0, None), encounter("b", 0.5, 4), encounter("c", 30, 33)).stays
    assert [(stay.encounters, stay.end) for stay in found] == [
        (("b", "a"), None),
        (("c",), moment(33)),
    ]


def test_observation_stands_apart():
    found = timeline(encounter("a", 0, 1, kind="OBSENC"), encounter("b", 1, 4))
    assert [stay.encounters for stay in found.stays] == [("b",)]
    assert [stay.encounters for stay in found.observation_stays] == [("a",)]
    rules = load_profile("default").stays
    both = find_stays(found.visits, ("inpatient", "observation"), rules)
    assert [stay.encounters for stay in both] == [("a", "b")]


@pytest.mark.parametrize("kind", ["AMB", "EMER", "VR", "XYZ"])
def test_only_hospital_encounters_are_stays(kind):
    assert stays(encounter("a", 0, 1, kind=kind)) == []


@pytest.mark.parametrize("parent", ["a", "x"])
def test_part_of_neither_merges_nor_parts(parent):
    """It may lead to the emergency visit, to the stay before, or to the mother's."""
    part_of = {"partOf": {"reference": f"Encounter/{parent}"}}
    assert stays(encounter("a", 0, 4), encounter("b", 10, 12, **part_of)) == [("a",), ("b",)]
    assert stays(encounter("a", 0, 4), encounter("b", 4, 5, **part_of)) == [("a", "b")]


@pytest.mark.parametrize(
    ("start", "end", "attached"),
    [
        (-0.5, 0, True),
        (-0.5, 0.2, True),
        (-1, -0.5, True),
        (-1, -0.5 - MINUTE, False),
        (-2.9, 0, True),
        (-3.1, 0, False),
        (-400, 30, False),
        (0, 0.2, True),
        (0.1, 0.3, False),
    ],
)
def test_emergency_visit_that_overlaps_or_ends_just_before_led_to_the_stay(start, end, attached):
    (stay,) = timeline(encounter("ed", start, end, kind="EMER"), encounter("a", 0, 4)).stays
    assert (stay.emergency_visit == "ed") is attached
    assert stay.arrival == (moment(start) if attached else moment(0))
    assert stay.start == moment(0)
    assert stay.all_encounters == (("ed", "a") if attached else ("a",))


def test_open_emergency_visit_led_to_nothing():
    (stay,) = timeline(encounter("ed", -0.2, None, kind="EMER"), encounter("a", 0, 4)).stays
    assert stay.emergency_visit is None


def test_visit_that_starts_after_death_is_left_out():
    died = patient(deceasedDateTime="2024-03-05")
    found = timeline(died, encounter("a", 0, 4), encounter("b", 4.9, 5), encounter("c", 5.1, 6))
    assert [visit.encounter for visit in found.visits] == ["a", "b"]


def test_encounter_without_a_start_is_no_visit():
    assert timeline(patient(), encounter("a", None, 4)).visits == ()


def test_stay_seen_half_way_has_neither_end_nor_disposition():
    whole = timeline(encounter("a", 0, 4, hospitalization=left_for("home"), priority=urgency("EM")))
    view = View(whole, whole.stays[0], moment(2))
    assert (view.stay.end, view.stay.disposition) == (None, None)
    assert (view.stay.urgency, view.length_of_stay_days()) == ("emergency", 2.0)
    assert whole.stays[0].end == moment(4)


def test_stay_is_over_at_the_very_moment_of_its_end():
    whole = timeline(encounter("a", 0, 4, hospitalization=left_for("home")))
    assert View(whole, whole.stays[0], moment(4)).stay.disposition == "home"
    assert View(whole, whole.stays[0], moment(4) - 1).stay.disposition is None


def test_later_transfer_is_not_part_of_the_stay_yet():
    whole = timeline(encounter("a", 0, 4), encounter("b", 4.1, 8))
    (stay,) = whole.stays
    half_way = View(whole, stay, moment(4)).stay
    assert (half_way.encounters, half_way.end) == (("a",), moment(4))
    assert View(whole, stay, moment(4.1)).stay.end is None


def test_piece_within_a_stay_is_not_needed_to_know_the_stay():
    """The stay is named after its discharge; the piece that gives its first id may lie ahead."""
    whole = timeline(encounter("a", 0, 9), encounter("b", 2, 3))
    (stay,) = whole.stays
    assert stay.encounters == ("b", "a")
    assert View(whole, stay, moment(1)).stay.encounters == ("a",)


def test_order_of_visits_does_not_tell_ends_that_lie_ahead():
    def seen(first, second):
        pieces = (encounter("a", 0, first), encounter("b", 0, second))
        return visible(timeline(*pieces).visits, moment(1))

    assert seen(4, 9) == seen(9, 4)


def test_visits_keep_the_clock_of_their_record():
    period = {"start": "2024-03-01T20:00:00-05:00", "end": "2024-03-02T20:00:00-05:00"}
    (stay,) = timeline(encounter("a", 0, 1, period=period)).stays
    assert stay.utc_offset == -300
    assert stay.start == moment(0) + DAY + HOUR


def test_service_of_every_piece_is_kept():
    pieces = [
        encounter("a", 0, 2, serviceType={"text": "Surgery"}),
        encounter("b", 2, 4),
        encounter("c", 4, 6, serviceType=concept("urn:ward", "MED")),
    ]
    (stay,) = timeline(*pieces).stays
    assert stay.services == ("text|surgery", "urn:ward|MED")


def test_unit_is_that_of_the_last_of_the_stays_encounters_to_name_one():
    def at(name, start, end, unit=None, **more):
        named = {} if unit is None else {"serviceProvider": {"display": unit}}
        return encounter(name, start, end, **named, **more)

    def unit(*resources):
        (stay,) = timeline(*resources).stays
        return stay.site

    assert unit(at("a", 0, 2, "Surgery"), at("b", 2, 5, "Cardiology")) == "Cardiology"
    assert unit(at("a", 0, 2, "Surgery"), at("b", 2, 5)) == "Surgery"
    assert unit(at("a", 0, 2), at("b", 2, 5)) is None
