"""What the documentation of the list shows: a patient who does not exist."""

from typing import Final

from service import examples
from service.database.work_list_search import Place
from service.spreadsheet import as_csv
from service.work_list.capacity import Capacity, GroupShare
from service.work_list.read import Listed, WorkListPage
from service.work_list.wanted import cursor

STAY: Final = "5e" * 32
NEXT: Final = cursor("remaining", Place(0.27, STAY))

LISTED: Final = Listed(
    patient="example-patient",
    stay=STAY,
    score_id=examples.SCORE_ID,
    unit="Cardiology",
    condition="Heart failure",
    age=71,
    sex="female",
    probability=0.31,
    band="high",
    remaining=0.27,
    remaining_low=0.25,
    remaining_high=0.28,
    discharged_at="2026-03-09T11:30:00+00:00",
    days_since_discharge=3,
    reasons=("3 hospital stays in the year before", "sodium 129 mmol/L"),
    changeable=("sodium 129 mmol/L",),
    missing=1,
    lace=12,
    hospital=7,
    status="contacted",
    assigned_to="https://id.example.org|example-care-manager",
    due_on="2026-03-13",
    version=2,
)

PAGE: Final = WorkListPage(
    as_of="2026-03-12T04:00:00+00:00", total=143, patients=(LISTED,), next=NEXT
)

CAPACITY: Final = Capacity(
    calls=1,
    chosen=(LISTED,),
    expected=0.27,
    expected_low=0,
    expected_high=1,
    on_the_list=14.2,
    next_adds=0.26,
    groups=(
        GroupShare(
            attribute="sex",
            group="female",
            patients=74,
            calls=1,
            share_of_calls=1.0,
            share_of_need=0.53,
        ),
    ),
)

TABLE: Final = as_csv(
    ("patient", "unit", "remaining"),
    [{"patient": "example-patient", "unit": "Cardiology", "remaining": 0.27}],
)
