"""A bias that is planted is there, against one group alone; without it there is none."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from simulated_export import Hospital

from training.simulated_hospital import simulate
from training.simulated_hospital.bias import hospital_of
from training.simulated_hospital.chance import COURSE, Chance
from training.simulated_hospital.clock import Clock
from training.simulated_hospital.parameters import load_hospital
from training.simulated_hospital.population import draw_person
from training.simulated_hospital.risk import auroc

PATIENTS = 500


@pytest.fixture(scope="module")
def biased(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    folder = tmp_path_factory.mktemp("biased")
    return Hospital(folder, simulate(folder, PATIENTS, seed=11, biased=True))


def _group(hospital: Hospital) -> set[str]:
    return {
        person["id"]
        for person in hospital.of_type("Patient")
        if person["communication"][0]["language"]["coding"][0]["code"] == "es"
    }


def _index(hospital: Hospital, group: set[str], *, inside: bool) -> list[dict[str, str]]:
    return [
        row
        for row in hospital.truth
        if row["index_eligible"] == "1" and (row["patient_id"] in group) is inside
    ]


def _risk(rows: list[dict[str, str]]) -> np.ndarray:
    return np.array([float(row["observable_risk"]) for row in rows])


def test_all_others_live_the_same_lives(hospital: Hospital, tmp_path: Path) -> None:
    simulate(tmp_path, 250, seed=11, biased=True)
    with (tmp_path / "truth" / "truth.csv").open(newline="") as file:
        truth = list(csv.DictReader(file))
    group = _group(hospital)
    assert [row for row in truth if not row["patient_id"].startswith(tuple(group))] == [
        row for row in hospital.truth if not row["patient_id"].startswith(tuple(group))
    ]
    assert [row for row in truth if row["patient_id"] in group] != [
        row for row in hospital.truth if row["patient_id"] in group
    ]


def test_the_truth_says_whether_a_bias_is_planted_and_against_whom(
    hospital: Hospital, biased: Hospital
) -> None:
    assert (hospital.drivers["biased"], hospital.drivers["biased_against"]) == (False, None)
    assert biased.drivers["biased"] is biased.summary.biased is True
    assert biased.drivers["biased_against"]["language"] == load_hospital().bias.language == "es"


def test_about_one_person_in_eight_is_in_the_group(biased: Hospital) -> None:
    assert 0.08 < len(_group(biased)) / biased.summary.patients < 0.16


def test_records_of_the_group_are_poorer(biased: Hospital) -> None:
    group = _group(biased)
    days: Counter[bool] = Counter()
    for row in biased.truth:
        days[row["patient_id"] in group] += 1
    results: Counter[bool] = Counter()
    for observation in biased.of_type("Observation"):
        if observation["category"][0]["coding"][0]["code"] == "laboratory":
            results[observation["subject"]["reference"].split("/")[1] in group] += 1
    assert results[True] / days[True] < 0.9 * results[False] / days[False]
    inside, outside = (_index(biased, group, inside=side) for side in (True, False))
    for name in ("last_sodium", "last_haemoglobin"):
        missing = [np.mean([row[name] == "" for row in rows]) for rows in (inside, outside)]
        assert missing[0] > 0.14 > 0.11 > missing[1]
    visits: Counter[bool] = Counter()
    for encounter in biased.of_type("Encounter"):
        if encounter["class"]["code"] == "EMER" and "partOf" not in encounter:
            visits[encounter["subject"]["reference"].split("/")[1] in group] += 1
    others = biased.summary.patients - len(group)
    assert visits[True] / len(group) < 0.7 * visits[False] / others


def test_the_group_returns_more_often_and_its_records_tell_less_who_will(biased: Hospital) -> None:
    group = _group(biased)
    inside, outside = (_index(biased, group, inside=side) for side in (True, False))
    assert _risk(inside).mean() > 1.3 * _risk(outside).mean()
    best = []
    for rows in (inside, outside):
        risk = _risk(rows)
        # Outcomes drawn many times over: the AUROC to expect, free of one draw's luck.
        many = np.tile(risk, 50)
        drawn = np.random.default_rng(0).random(len(many)) < many
        best.append(auroc(many, drawn))
    assert best[0] < best[1] - 0.08


def test_the_observable_risk_is_right_within_the_group_too(biased: Hospital) -> None:
    for inside in (True, False):
        rows = _index(biased, _group(biased), inside=inside)
        risk = _risk(rows)
        observed = np.mean([row["outcome"] == "1" for row in rows])
        assert abs(observed - risk.mean()) < 4 * np.sqrt((risk * (1 - risk)).sum()) / len(risk)


def test_without_bias_all_people_meet_the_same_hospital() -> None:
    parameters = load_hospital()
    clock = Clock(parameters.calendar.zone, parameters.calendar.start, parameters.calendar.end)
    people = [draw_person(n, parameters, clock, Chance(1, n, COURSE)) for n in range(1, 60)]
    languages = {person.language[0] for person in people}
    assert "es" in languages
    for person in people:
        assert hospital_of(person, parameters, biased=False) is parameters
        met = hospital_of(person, parameters, biased=True)
        assert (met is parameters) is (person.language[0] != "es")
