"""'I can call twenty': who they are, what to expect, and whether each group has its share."""

import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from listed_patients import listed, put_on_the_list
from trusting_service import OTHER_UNIT, Service

from service.database.work_list_search import Need
from service.work_list.capacity import interval, shares

PATH = "/v1/worklist/capacity"


def ask(service: Service, **asked: Any) -> Any:
    answer = service.ask("GET", PATH, service.person("care_manager"), params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_those_with_the_most_risk_left_are_chosen(service: Service) -> None:
    keeping = service.keeping
    risks = {"a": 0.1, "b": 0.4, "c": 0.2, "d": 0.3}
    rows = [listed(keeping, name, remaining=risk) for name, risk in risks.items()]
    put_on_the_list(keeping, [*rows, listed(keeping, "far", remaining=0.9, unit=OTHER_UNIT)])
    found = ask(service, calls=2)
    assert [one["patient"] for one in found["chosen"]] == ["b", "d"]
    assert found["expected"] == pytest.approx(0.7)
    assert found["next_adds"] == pytest.approx(0.2)
    assert found["on_the_list"] == pytest.approx(1.0)
    assert found["calls"] == 2


def test_a_list_shorter_than_the_day_leaves_nobody(service: Service) -> None:
    put_on_the_list(service.keeping, [listed(service.keeping, "only")])
    found = ask(service, calls=20)
    assert (found["calls"], found["next_adds"]) == (1, None)


def test_an_empty_list_expects_nothing(service: Service) -> None:
    found = ask(service)
    assert (found["calls"], found["expected"], found["expected_high"]) == (0, 0.0, 0)


def test_the_shares_are_of_the_patients_whose_record_says_it(service: Service) -> None:
    keeping = service.keeping
    women = [
        listed(keeping, f"w{n}", remaining=0.3, groups=json.dumps({"sex": "female"}))
        for n in range(12)
    ]
    men = [
        listed(keeping, f"m{n}", remaining=0.1, groups=json.dumps({"sex": "male"}))
        for n in range(12)
    ]
    few = [listed(keeping, f"o{n}", remaining=0.2, groups='{"sex": "other"}') for n in range(3)]
    silent = [listed(keeping, "s", remaining=0.9, groups='{"sex": null}')]
    put_on_the_list(keeping, [*women, *men, *few, *silent])
    groups = {one["group"]: one for one in ask(service, calls=11)["groups"]}
    # Three patients are no group that is told: their share would be somebody's.
    assert set(groups) == {"female", "male"}
    assert (groups["female"]["calls"], groups["male"]["calls"]) == (10, 0)
    assert groups["female"]["share_of_calls"] == 1.0
    assert groups["female"]["share_of_need"] == pytest.approx(3.6 / (3.6 + 1.2 + 0.6))


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=6))
def test_the_interval_is_that_of_every_way_it_can_come_out(risks: list[float]) -> None:
    chances = [0.0] * (len(risks) + 1)
    for outcome in itertools.product((0, 1), repeat=len(risks)):
        each = (risk if came else 1 - risk for risk, came in zip(risks, outcome, strict=True))
        chances[sum(outcome)] += math.prod(each)
    low, high = interval(risks)
    assert sum(chances[low : high + 1]) >= 0.95 - 1e-9
    # Each tail that is cut off is of at most 2.5 %, and no narrower interval is.
    assert sum(chances[:low]) <= 0.025 + 1e-9
    assert sum(chances[high + 1 :]) <= 0.025 + 1e-9
    assert sum(chances[: low + 1]) > 0.025 - 1e-9
    assert sum(chances[high:]) > 0.025 - 1e-9


def test_shares_of_an_attribute_add_up_to_one() -> None:
    needs = [Need('{"sex": "female"}', 20, 4.0), Need('{"sex": "male"}', 30, 6.0)]
    found = shares(['{"sex": "female"}', '{"sex": "male"}', '{"sex": "male"}'], needs)
    assert sum(one.share_of_calls for one in found) == pytest.approx(1)
    assert sum(one.share_of_need for one in found) == pytest.approx(1)
