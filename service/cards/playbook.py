"""The site's playbook (TOML): which risks get a card, and what is suggested for which driver.

It is data, so that a clinic can change what it does without changing code; it is checked whole when
it is read, so that a mistake in it is found by whoever made it and not in a patient's chart.
"""

import re
import tomllib
import uuid
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from fhir_mappings.errors import ReadmitError
from fhir_mappings.features.declaration import declared_features
from service.cards.card import Action, Coding, Indicator, Suggestion

Band = Literal["low", "moderate", "high"]
BANDS: Final[tuple[Band, ...]] = ("low", "moderate", "high")
ANY_DRIVER: Final = "*"
_NAMED: Final = re.compile(r"\{(patient|encounter|today|in_([0-9]{1,3})_days)\}")
_BRACE: Final = re.compile(r"[{}]")


class PlaybookError(ReadmitError):
    """A site's playbook cannot be read, or suggests something that no EHR could take."""

    exit_code = 2
    title = "Playbook"


class PlannedAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One resource that a suggestion creates."""

    description: str
    resource: dict[str, Any]


class Planned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A suggestion, and the features that call for it where they raise the risk."""

    drivers: Annotated[tuple[str, ...], Meta(min_length=1)]
    label: str
    action: Annotated[tuple[PlannedAction, ...], Meta(min_length=1)]
    recommended: bool = False


class Override(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reason that a clinician may give for doing something else."""

    code: str
    display: str


class Playbook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one site shows and suggests."""

    name: str
    show_from: Band
    average: str
    suggestions_at_most: Annotated[int, Meta(ge=0, le=10)]
    selection: Literal["at-most-one", "any"]
    indicator: dict[Band, Indicator]
    override_reason: tuple[Override, ...] = ()
    suggestion: tuple[Planned, ...] = ()

    def shows(self, band: str) -> bool:
        """Whether a risk in this band gets a card."""
        return band in BANDS and BANDS.index(band) >= BANDS.index(self.show_from)

    def override_reasons(self) -> tuple[Coding, ...]:
        """The reasons as codings of this site's playbook."""
        system = f"urn:readmit:playbook:{self.name}"
        return tuple(Coding(one.code, system, one.display) for one in self.override_reason)

    def suggestions(
        self, drivers: tuple[str, ...], *, patient: str, encounter: str, today: date
    ) -> tuple[Suggestion, ...]:
        """What to suggest for a patient whose risk these features raise.

        Args:
            drivers: names of features, the strongest first.
            patient: the Patient's id.
            encounter: the Encounter's id.
            today: the day from which days are counted.

        Returns: the suggestions of the strongest drivers first, those for any driver last; at most
        as many as the site wants.
        """
        ranked = sorted(
            (rank, position)
            for position, planned in enumerate(self.suggestion)
            if (rank := _rank(planned, drivers)) is not None
        )
        words = {"patient": f"Patient/{patient}", "encounter": f"Encounter/{encounter}"}
        return tuple(
            _suggestion(self.suggestion[position], words, today)
            for _, position in ranked[: self.suggestions_at_most]
        )


def _rank(planned: Planned, drivers: tuple[str, ...]) -> int | None:
    ranks = [drivers.index(name) for name in planned.drivers if name in drivers]
    if ranks:
        return min(ranks)
    return len(drivers) if ANY_DRIVER in planned.drivers else None


def _suggestion(planned: Planned, words: dict[str, str], today: date) -> Suggestion:
    actions = tuple(
        Action("create", one.description, _filled(one.resource, words, today))
        for one in planned.action
    )
    return Suggestion(
        label=planned.label,
        uuid=_identifier(planned, words),
        is_recommended=True if planned.recommended else msgspec.UNSET,
        actions=actions,
    )


def _identifier(planned: Planned, words: dict[str, str]) -> str:
    """The same id for the same suggestion of the same stay: feedback on it can be counted."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{words['encounter']} {planned.label}"))


def _filled(template: Any, words: dict[str, str], today: date) -> Any:
    if isinstance(template, dict):
        return {name: _filled(value, words, today) for name, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, words, today) for value in template]
    if not isinstance(template, str):
        return template

    def word(found: re.Match[str]) -> str:
        if found[2] is not None:
            return (today + timedelta(days=int(found[2]))).isoformat()
        return today.isoformat() if found[1] == "today" else words[found[1]]

    return _NAMED.sub(word, template)


def load_playbook(path: Path | None = None) -> Playbook:
    """Read a site's playbook; the shipped one by default.

    Raises:
        PlaybookError: naming what is wrong: unreadable, an unknown element, a driver that is no
            feature, a brace that nothing fills, or a resource that is not FHIR R4.
    """
    if path is None:
        shipped = resources.files("service.cards").joinpath("playbooks/default.toml")
        return _checked(shipped.read_text(encoding="utf-8"), "default")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlaybookError(f"{path}: cannot be read: {type(error).__name__}") from None
    playbook = _checked(text, str(path))
    check_resources(playbook)
    return playbook


def _checked(text: str, named: str) -> Playbook:
    try:
        playbook = msgspec.convert(tomllib.loads(text), Playbook)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise PlaybookError(f"{named}: {error}") from None
    if missing := sorted(set(BANDS) - playbook.indicator.keys()):
        raise PlaybookError(f"{named}: indicator lacks {', '.join(missing)}")
    recommended = sum(planned.recommended for planned in playbook.suggestion)
    if playbook.selection == "at-most-one" and recommended > 1:
        raise PlaybookError(f"{named}: at-most-one, and more than one is recommended (cds-resp-1)")
    known = {feature.name for feature in declared_features()} | {ANY_DRIVER}
    for planned in playbook.suggestion:
        if unknown := sorted(set(planned.drivers) - known):
            raise PlaybookError(f"{named}: '{planned.label}': no feature {', '.join(unknown)}")
        for action in planned.action:
            if _BRACE.search(_NAMED.sub("", str(_texts(action.resource)))):
                raise PlaybookError(f"{named}: '{planned.label}': a brace that nothing fills")
    return playbook


def _texts(template: Any) -> str:
    if isinstance(template, dict):
        return " ".join(_texts(value) for value in template.values())
    if isinstance(template, list):
        return " ".join(_texts(value) for value in template)
    return template if isinstance(template, str) else ""


def check_resources(playbook: Playbook) -> None:
    """See to it that every resource that the playbook creates is FHIR R4.

    Raises:
        PlaybookError: naming the suggestion whose resource is not.
    """
    # Here and not above: the models take most of a second to import, for a check made once.
    from fhir.resources.R4B import get_fhir_model_class

    example = {"patient": "Patient/example", "encounter": "Encounter/example"}
    for planned in playbook.suggestion:
        for action in planned.action:
            resource = _filled(action.resource, example, date(2026, 1, 1))
            try:
                get_fhir_model_class(resource["resourceType"]).model_validate(resource)
            except (KeyError, ValueError):
                raise PlaybookError(
                    f"{playbook.name}: '{planned.label}': a resource that is not FHIR R4"
                ) from None
