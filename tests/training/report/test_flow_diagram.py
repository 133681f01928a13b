"""The flow diagram: every exclusion counted, and none so small that it names somebody."""

import pytest

from training.cohort.selection import FlowStep
from training.report.flow import flow_diagram


def steps(*excluded: int) -> list[FlowStep]:
    left = 1_000
    table = [FlowStep("simulated stays", 0, left)]
    for place, each in enumerate(excluded):
        left -= each
        table.append(FlowStep(f"reason {place}", each, left))
    return [*table, FlowStep("index stays", 0, left)]


@pytest.mark.parametrize(
    "excluded",
    [(20, 30), (3, 4, 5, 20), (20, 3), (3, 20, 4, 30, 5), (20, 0, 3), (11,), (10, 1)],
)
def test_boxes_account_for_every_stay_and_none_is_of_few(excluded):
    flow = flow_diagram(steps(*excluded), smallest=11)
    assert all(box.excluded >= 11 for box in flow.boxes)
    assert sum(box.excluded for box in flow.boxes) == sum(excluded)
    left = flow.start.left
    for box in flow.boxes:
        left -= box.excluded
        assert box.left == left
    assert flow.end.left == left
    told = [reason for box in flow.boxes for reason in box.reasons]
    assert told == [f"reason {place}" for place, each in enumerate(excluded) if each]


def test_reasons_that_concern_nobody_are_named_apart():
    flow = flow_diagram(steps(20, 0, 30), smallest=11)
    assert flow.nobody == ("reason 1",)
    assert flow_diagram(steps(), smallest=11).boxes == ()


def test_few_exclusions_in_all_stand_in_one_box():
    (box,) = flow_diagram(steps(3, 2), smallest=11).boxes
    assert box.reasons == ("reason 0", "reason 1")
    assert (box.excluded, box.left) == (5, 995)
