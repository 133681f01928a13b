"""A month as each caller may see it, and the model's public card."""

from typing import Any

import pytest
from counted_months import counted_month, unit_month
from trusting_service import OTHER_UNIT, Service

from service.database import months
from service.month.at_risk import Exposure
from service.small_cells import SMALLEST_CELL
from training.monitoring import transparency

pytestmark = pytest.mark.usefixtures("each_database")
HTML = {"Accept": "text/html"}


@pytest.fixture(autouse=True)
def _counted(service: Service) -> None:
    few = unit_month(
        OTHER_UNIT, called=Exposure(patients=12, days=90, readmissions=2, expected=1.0)
    )
    with service.keeping.database.writing() as connection:
        months.put(connection, counted_month("2026-02", [few]))
        months.put(connection, counted_month("2026-03", [unit_month(), few]))


def asked(service: Service, token: str, **query: Any) -> dict[str, Any]:
    answer = service.ask("GET", "/v1/month", token, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_care_manager_sees_their_units_and_nothing_of_others(service: Service) -> None:
    month = asked(service, service.person("care_manager"))
    assert (month["month"], month["stays"]) == ("2026-03", 99)
    booked = next(one for one in month["calls"] if one["became"] == "visit_booked")
    assert booked == {
        "became": "visit_booked",
        "at_least": 22,
        "units": [{"unit": "Cardiology", "at_least": 22}],
    }
    called = month["compared"][0]
    assert (called["patients"], called["person_days"], called["readmissions"]) == (33, 900, 11)
    assert (called["ratio"], called["low"], called["high"]) == (1.2, 0.62, 2.1)
    whole = asked(service, service.person("clinician"))
    assert whole["stays"] == 198
    assert whole["compared"][0]["ratio"] == round(14 / 11, 2)


def test_too_few_returns_are_not_said(service: Service) -> None:
    month = asked(service, service.person("care_manager", units=[OTHER_UNIT]), month="2026-02")
    called = month["compared"][0]
    assert called["patients"] == 11
    assert [called[name] for name in ("readmissions", "expected", "ratio", "low", "high")] == (
        [None] * 5
    )


def test_no_count_from_1_to_10_is_shown(service: Service) -> None:
    month = asked(service, service.person("clinician"))
    counts = [cell["at_least"] for one in month["calls"] for cell in one["units"]]
    assert counts
    assert all(count % SMALLEST_CELL == 0 for count in counts)
    # Ten people of another sex in two units are no group; the shares are of those who say.
    sexes = {one["group"]: one for one in month["allocation"]}
    assert set(sexes) == {"female", "male"}
    assert (sexes["female"]["share_of_calls"], sexes["female"]["share_of_need"]) == (0.75, 0.49)
    assert SMALLEST_CELL == transparency.SMALLEST_CELL


def test_a_month_that_was_not_counted_is_not_there(service: Service) -> None:
    token = service.person("care_manager")
    assert service.ask("GET", "/v1/month", token, params={"month": "2025-01"}).status_code == 404
    assert service.ask("GET", "/v1/month", token, params={"month": "march"}).status_code == 422


def test_the_page_warns_before_it_compares(service: Service) -> None:
    answer = service.ask("GET", "/month", service.person("clinician"), headers=HTML)
    assert answer.status_code == 200
    text = answer.text
    assert text.index("This is not a trial.") < text.index("Observed / expected")
    assert "95 % interval" in text


def test_everybody_may_read_what_the_model_is(service: Service) -> None:
    answer = service.ask("GET", "/model-card", headers=HTML)
    assert answer.status_code == 200
    assert "about 52,000 hospital stays" in answer.text
    assert "no test figures" in answer.text
    assert "The model is not for births" in answer.text or "obstetric" in answer.text
