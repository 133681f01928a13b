"""What a site suggests: data that is checked whole, and resources that an EHR can take."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from msgspec import UNSET
from msgspec.structs import replace

from service.cards.playbook import Playbook, PlaybookError, check_resources, load_playbook

SHIPPED = Path(__file__).parents[2] / "service" / "cards" / "playbooks" / "default.toml"
WHERE: dict[str, Any] = {"patient": "p1", "encounter": "e1", "today": date(2026, 3, 9)}


@pytest.fixture(scope="module")
def playbook() -> Playbook:
    return load_playbook()


def test_everything_the_shipped_playbook_creates_is_fhir_r4(playbook: Playbook) -> None:
    check_resources(playbook)
    every = replace(playbook, suggestions_at_most=10)
    drivers = tuple(name for planned in playbook.suggestion for name in planned.drivers)
    suggestions = every.suggestions(drivers, **WHERE)
    assert len(suggestions) == len(playbook.suggestion)
    for suggestion in suggestions:
        for action in suggestion.actions:  # type: ignore[union-attr]  # the shipped ones have some
            resource = action.resource
            assert isinstance(resource, dict)
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)
            assert "Patient/p1" in str(resource)
            assert "{" not in str(list(resource.values())).replace("{'", "")


def test_the_strongest_driver_is_answered_first_and_any_driver_last(playbook: Playbook) -> None:
    labels = [
        one.label for one in playbook.suggestions(("sodium_latest", "heart_failure"), **WHERE)
    ]
    assert labels == [
        "Check electrolytes and kidney function within a week",
        "Heart failure visit within 7 days",
        "Call within 7 days of discharge",
        "Flag the chart: high readmission risk",
    ]


def test_no_more_is_suggested_than_the_site_wants(playbook: Playbook) -> None:
    assert len(replace(playbook, suggestions_at_most=1).suggestions((), **WHERE)) == 1
    assert replace(playbook, suggestions_at_most=0).suggestions((), **WHERE) == ()


def test_days_are_counted_from_today(playbook: Playbook) -> None:
    (call, *_) = playbook.suggestions((), **WHERE)
    (task,) = call.actions  # type: ignore[misc]  # it has one
    assert task.resource["authoredOn"] == "2026-03-09"  # type: ignore[index]
    assert task.resource["restriction"]["period"]["end"] == "2026-03-16"  # type: ignore[index]


def test_the_same_suggestion_of_the_same_stay_has_the_same_id(playbook: Playbook) -> None:
    first, again = (playbook.suggestions((), **WHERE)[0] for _ in range(2))
    other = playbook.suggestions((), **{**WHERE, "encounter": "e2"})[0]
    assert first.uuid == again.uuid != other.uuid
    assert first.uuid is not UNSET


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('drivers = ["*"]', 'drivers = ["sodium"]'), "no feature sodium"),
        (('reference = "{patient}"', 'reference = "{name}"'), "a brace that nothing fills"),
        (('status = "requested"', "status = 5"), "not FHIR R4"),
        (('resourceType = "Task"', 'resourceType = "Chore"'), "not FHIR R4"),
        (('show_from = "high"', 'show_from = "always"'), "show_from"),
        (('low = "info"\n', ""), "indicator lacks low"),
        (("[indicator]", "[indicator"), "toml"),
        (('name = "default"', 'name = "default"\nthreshold = 0.2'), "threshold"),
    ],
)
def test_a_mistake_in_a_playbook_is_found_when_it_is_read(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    file = tmp_path / "playbook.toml"
    text = SHIPPED.read_text(encoding="utf-8")
    assert change[0] in text
    file.write_text(text.replace(*change, 1), encoding="utf-8")
    with pytest.raises(PlaybookError, match=said):
        load_playbook(file)


def test_a_playbook_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError, match="cannot be read"):
        load_playbook(tmp_path / "none.toml")


def test_of_suggestions_that_exclude_each_other_one_at_most_is_recommended(
    tmp_path: Path,
) -> None:
    file = tmp_path / "playbook.toml"
    file.write_text(SHIPPED.read_text().replace('selection = "any" ', 'selection = "at-most-one" '))
    with pytest.raises(PlaybookError, match="cds-resp-1"):
        load_playbook(file)
