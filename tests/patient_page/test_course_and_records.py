"""The course over the stays, and where records are found."""

from typing import Any

import msgspec
import pytest

from service import examples
from service.identity.issuers import PairedServer, Trusted
from service.identity.sessions import Launch
from service.patient_page.course import HEIGHT, WIDTH, course
from service.patient_page.reading import StayScore
from service.patient_page.records import ehr_of, record_link


def stays(*risks: float, here: int = 0) -> list[StayScore]:
    return [
        StayScore(
            f"{number:032x}",
            msgspec.structs.replace(examples.SCORED, probability=risk),
            number == here,
        )
        for number, risk in enumerate(risks)
    ]


def test_a_higher_risk_stands_higher_and_a_later_stay_further_right():
    drawn = course(stays(0.1, 0.3, 0.2, here=1), 0.15)
    assert drawn is not None
    first, second, third = drawn.points
    assert first.x < second.x < third.x
    assert second.y < third.y < first.y
    assert all(0 < point.x < WIDTH and 0 < point.y < HEIGHT for point in drawn.points)
    assert [point.is_here for point in drawn.points] == [False, True, False]
    assert drawn.ceiling == 0.5
    assert first.y > drawn.average > third.y


def test_one_stay_is_no_course_and_a_stay_without_risk_is_no_point():
    assert course(stays(0.2), None) is None
    without = StayScore("0" * 32, examples.NOT_SCORED, False)
    assert course([*stays(0.2), without], None) is None
    drawn = course([*stays(0.2, 0.4), without], None)
    assert drawn is not None
    assert len(drawn.points) == 2


def test_several_versions_of_the_model_are_told():
    other = msgspec.structs.replace(
        examples.SCORED, model=msgspec.structs.replace(examples.IDENTITY, version="4")
    )
    one = course([*stays(0.2), StayScore("f" * 32, other, False)], None)
    assert one is not None
    assert one.models == 2


SERVERS = tuple(
    PairedServer(url=f"https://{name}.example/fhir/", issuer="https://id.example")
    for name in ("a", "b")
)


@pytest.mark.parametrize(
    ("launch", "paired", "found"),
    [
        (None, (), None),
        (None, SERVERS[:1], "https://a.example/fhir"),
        (None, SERVERS, None),
        ("https://b.example/fhir", SERVERS, "https://b.example/fhir"),
        ("javascript:alert(1)", SERVERS, None),
    ],
)
def test_records_are_at_the_ehr_of_the_launch_or_at_the_only_one(
    launch: str | None, paired: Any, found: str | None
):
    chart = launch and Launch(fhir_server=launch, encounter=None, patient_banner=False)
    assert ehr_of(chart or None, Trusted({}, {}, paired)) == found


@pytest.mark.parametrize(
    "name", ["Observation/a/../b", "Observation/", "#contained", "https://x.example/P/1", "x?y/1"]
)
def test_what_is_no_plain_reference_is_named_and_leads_nowhere(name: str):
    assert record_link(name, "https://a.example/fhir") == (name, None)


def test_a_record_is_below_the_servers_base():
    link = record_link("Observation/o-1", "https://a.example/fhir")
    assert link.address == "https://a.example/fhir/Observation/o-1"
