"""The search in the scores that are kept says the same on both databases."""

from typing import Any

import pytest

from service.database import scores
from service.database.engine import Database


def row(number: int, **changed: Any) -> scores.Row:
    return scores.Row(
        **{
            "id": f"{number:032x}",
            "patient_index": "p",
            "encounter_index": f"e{number}",
            "unit": "Cardiology",
            "made_at": number,
            "status": "scored",
            "probability": 0.2,
            "band": "low",
            "model": "m",
            "version": "1",
            "score_sealed": b"",
            **changed,
        }
    )


@pytest.fixture
def kept(database: Database) -> Database:
    with database.writing() as connection:
        for one in (
            *map(row, (1, 2, 3)),
            row(4, unit=None),
            row(5, status="not_scored", probability=None, band=None),
            row(6, patient_index="q", encounter_index="e1"),
        ):
            scores.keep(connection, one)
    return database


@pytest.mark.parametrize(
    ("narrowed", "numbers"),
    [
        ({}, [4, 3, 2, 1]),
        ({"units": ["Cardiology"]}, [3, 2, 1]),
        ({"units": []}, []),
        ({"encounter_index": "e1"}, [1]),
        ({"id": f"{2:032x}"}, [2]),
        ({"made_from": 2, "made_before": 4}, [3, 2]),
        ({"patient_index": "nobody"}, []),
    ],
)
def test_a_search_finds_what_was_scored_the_newest_first(
    kept: Database, narrowed: dict[str, Any], numbers: list[int]
) -> None:
    wanted = scores.Wanted(**({"patient_index": "p", "units": None} | narrowed))
    with kept.reading() as connection:
        found = scores.search(connection, wanted, after=None, limit=10)
        assert scores.count(connection, wanted) == len(numbers)
    assert [one.made_at for one in found] == numbers


def test_a_page_goes_on_behind_the_one_before(kept: Database) -> None:
    wanted = scores.Wanted(patient_index="p", units=None)
    with kept.reading() as connection:
        first = scores.search(connection, wanted, after=None, limit=2)
        second = scores.search(connection, wanted, after=first[-1].id, limit=2)
        assert scores.search(connection, wanted, after=f"{6:032x}", limit=2) == []
    assert [one.made_at for one in (*first, *second)] == [4, 3, 2, 1]


@pytest.mark.parametrize(
    ("encounter", "patients"), [("e1", {"p", "q"}), ("e2", {"p"}), ("e", set())]
)
def test_an_encounter_leads_to_each_of_its_patients(
    kept: Database, encounter: str, patients: set[str]
) -> None:
    with kept.reading() as connection:
        found = scores.of_encounter(connection, encounter)
    assert {one.patient_index for one in found} == patients
    assert len(found) == len(patients)
