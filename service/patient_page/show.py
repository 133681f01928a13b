"""From what is kept to what the page shows: every sentence, link and number, before any HTML."""

from typing import TYPE_CHECKING, Final, NamedTuple

from fhir_mappings.clinical_scores import ClinicalScore
from service.cards.wording import percent
from service.identity.issuers import Trusted
from service.identity.sessions import Launch
from service.patient_page.course import Course, course
from service.patient_page.plain_words import plain_sentences
from service.patient_page.reading import PageContents
from service.patient_page.records import RecordLink, ehr_of, record_link
from service.patient_page.waterfall import Step, waterfall
from service.patient_page.what_if import Asked, WhatIf, what_if
from service.score import NotScored, Reason, Score, Scored
from service.views import View

if TYPE_CHECKING:
    from training.risk_model import RiskModel

BANDS: Final = {
    "low": "Low: below the average of the stays that the model learned from.",
    "moderate": "Moderate: above that average, and not among the highest fifth.",
    "high": "High: among the highest fifth of the stays that the model learned from.",
}
"""What a band means (``training.risk_model.Reference``)."""

PREDICTS: Final = {
    "LACE": "LACE was made to predict death or an unplanned readmission within 30 days: another "
    "outcome than the risk above, which does not count deaths.",
    "HOSPITAL": "HOSPITAL was made to predict a readmission within 30 days that could have been "
    "avoided: fewer patients than the risk above counts.",
}
"""What each published score predicts, as its publication says (``ClinicalScore.reference``)."""


RECORDS_SHOWN: Final = 5
"""How many records an item of a published score names; the rest is counted."""


class Entry(NamedTuple):
    """One reason in the list of evidence."""

    number: int
    reason: Reason
    records: tuple[RecordLink, ...]

    @property
    def more(self) -> int:
        """How many records there are that are not named."""
        return self.reason.evidence_count - len(self.records)


class Item(NamedTuple):
    """One item of a published score."""

    letter: str
    name: str
    shown: str
    points: int
    missing: bool
    records: tuple[RecordLink, ...]
    more: int
    """How many records there are that are not named."""


class Published(NamedTuple):
    """LACE or HOSPITAL, item by item."""

    score: ClinicalScore
    predicts: str
    items: tuple[Item, ...]


class Risk(NamedTuple):
    """What is shown of a stay that has a risk."""

    figure: str
    """In whole per cent."""
    band: str
    steps: tuple[Step, ...]
    changeable: tuple[Entry, ...]
    """The reasons that a care team can act on."""
    given: tuple[Entry, ...]
    """The others."""
    drawing: Course | None
    what_if: WhatIf
    published: tuple[Published, ...]
    plain: tuple[str, ...]


class RiskPage(NamedTuple):
    """All that the template fills in."""

    contents: PageContents
    score: Score
    score_id: str
    banner: bool
    """Whether the page must say in large letters whose it is."""
    whole: bool
    """Whether patient and stay are named, and not by pseudonyms."""
    risk: Risk | None
    """None where there is none: then the page holds no number at all."""
    ehr: str | None


def risk_page(
    contents: PageContents,
    *,
    launch: Launch | None,
    trusted: Trusted,
    model: "RiskModel | None",
    asked: Asked | None,
) -> RiskPage:
    """Everything that the page of one score shows.

    Args:
        contents: what was read.
        launch: the chart that the session was launched from; None where there is none.
        trusted: whom the operator paired: where records can be read.
        model: the model in use; None where none is.
        asked: what the reader wants to know of another value.
    """
    score = contents.kept.score
    ehr = ehr_of(launch, trusted)
    return RiskPage(
        contents=contents,
        score=score,
        score_id=str(score.score_id),
        # Launched from a chart, the chart's own banner says it, unless the EHR leaves it to us.
        banner=launch is None or launch.patient_banner,
        whole=contents.kept.view is View.WHOLE,
        risk=None if isinstance(score, NotScored) else _risk(score, contents, model, asked, ehr),
        ehr=ehr,
    )


def _risk(
    score: Scored,
    contents: PageContents,
    model: "RiskModel | None",
    asked: Asked | None,
    ehr: str | None,
) -> Risk:
    entries = [
        Entry(number, reason, tuple(record_link(one, ehr) for one in reason.evidence))
        for number, reason in enumerate(score.reasons, start=1)
    ]
    average = None if score.comparison is None else score.comparison.reference_risk
    return Risk(
        figure=percent(score.probability),
        band=BANDS.get(score.band, score.band),
        steps=waterfall(score),
        changeable=tuple(entry for entry in entries if entry.reason.changeable),
        given=tuple(entry for entry in entries if not entry.reason.changeable),
        drawing=course(contents.course, average),
        what_if=what_if(score, contents.inputs, model, asked),
        published=tuple(_published(one, ehr) for one in (score.lace, score.hospital)),
        plain=plain_sentences(score.probability, score.horizon_days),
    )


def _published(score: ClinicalScore, ehr: str | None) -> Published:
    items = tuple(
        Item(
            one.letter,
            one.name,
            one.shown,
            one.points,
            one.missing,
            tuple(record_link(source, ehr) for source in one.evidence[:RECORDS_SHOWN]),
            max(0, len(one.evidence) - RECORDS_SHOWN),
        )
        for one in score.items
    )
    return Published(score, PREDICTS.get(score.name, ""), items)
