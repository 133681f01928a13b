"""The coming weeks, from the list: added up by hand, and no unit of fewer than eleven."""

from datetime import UTC, datetime
from typing import Any

import pytest
from listed_patients import listed, put_on_the_list
from sqlalchemy import delete
from trusting_service import OTHER_UNIT, UNIT, Service

from fhir_mappings.events import DAY
from fhir_mappings.records.instants import from_datetime
from service.database import scoring_runs, tables
from service.database.scoring_runs import Row
from service.planning.drawing import drawn
from service.planning.examples import PLANNING

pytestmark = pytest.mark.usefixtures("each_database")
NOW = from_datetime(datetime(2026, 3, 12, 4, tzinfo=UTC))


@pytest.fixture(autouse=True)
def _listed(service: Service) -> None:
    keeping = service.keeping
    with keeping.database.writing() as connection:
        for table in (tables.WORK_LIST, tables.SCORING_RUNS):
            connection.execute(delete(table))
        run = Row(id="1" * 32, as_of=NOW, model="m", version="1", began_at=NOW, ended_at=NOW)
        scoring_runs.begin(connection, run)
        scoring_runs.advance(connection, run.id, reached=0, counts="{}", ended_at=NOW)
    each = {"probability": 0.3, "discharged_at": NOW - 15 * DAY, "unit": UNIT}
    rows = [listed(keeping, f"at-home-{number}", **each) for number in range(12)]
    rows += [
        listed(keeping, "died", **{**each, "left": "deceased"}),
        listed(keeping, "in-hospital", **{**each, "discharged_at": None}),
        listed(keeping, "over", **{**each, "discharged_at": NOW - 31 * DAY, "left": "over"}),
        *(
            listed(keeping, f"other-{number}", **{**each, "unit": OTHER_UNIT})
            for number in range(10)
        ),
    ]
    put_on_the_list(keeping, rows)


def asked(service: Service, token: str, **query: Any) -> dict[str, Any]:
    answer = service.ask("GET", "/v1/forecast", token, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_week_is_what_the_risks_add_up_to(service: Service) -> None:
    """Returns are spread evenly: 0.3 * 7 / 30 of those who left come in a week; on day 15 there
    are 0.85 of them left. Thirteen discharges in thirty days are to go on."""
    found = asked(service, service.person("care_manager"), weeks=1)
    assert found["as_of"] == "2026-03-12T04:00:00+00:00"
    (unit,) = found["units"]
    assert unit["unit"] == UNIT
    (week,) = unit["weeks"]
    assert week["at_home"] == round(12 * 0.3 * 7 / 30 / 0.85, 1)
    assert week["to_come"] == round(13 * 0.3 / 30 * 7 * 7 / 2 / 30, 1)
    assert week["low"] <= week["expected"] <= week["high"]


def test_a_unit_of_ten_is_not_shown_and_that_is_said(service: Service) -> None:
    theirs = asked(service, service.person("care_manager", units=[OTHER_UNIT]))
    assert (theirs["units"], theirs["hidden"]) == ([], True)
    every = asked(service, service.person("clinician"))
    assert [unit["unit"] for unit in every["units"]] == [UNIT]
    assert every["hidden"]


def test_the_page_says_the_same_in_words_and_bars(service: Service) -> None:
    headers = {"Accept": "text/html"}
    answer = service.ask("GET", "/planning", service.person("clinician"), headers=headers)
    assert answer.status_code == 200
    assert answer.text.count("<rect") == 4
    assert "fewer than eleven patients at home" in answer.text


def test_a_model_without_a_curve_says_so(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    model = service.app.state.serving.model
    monkeypatch.setattr(model.reference, "returns", None)
    token = service.person("clinician")
    assert service.ask("GET", "/v1/forecast", token).status_code == 503
    page = service.ask("GET", "/planning", token, headers={"Accept": "text/html"})
    assert (page.status_code, "no forecast" in page.text) == (503, True)


def test_bars_have_one_scale() -> None:
    found = drawn(PLANNING)
    assert found.most == 11
    assert all(0 <= bar.x <= bar.mark <= bar.x + bar.width <= 100.1 for bar in found.bars[0])
