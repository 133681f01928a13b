"""From a score to the card that shows it, or to none."""

import uuid
from datetime import date
from typing import Final

from msgspec import UNSET

from service.cards.card import Card, Coding, Link, Source
from service.cards.playbook import Playbook
from service.cards.wording import detail, summary
from service.score import Score, Scored

TOPIC: Final = Coding("readmission-risk", "urn:readmit:topic", "Risk of unplanned readmission")
NAMESPACE: Final = uuid.UUID("6b1f0d0e-3f0b-5d0a-9f52-5b2f4a3f6d11")
"""Of the ids of our cards."""


def card_of(
    score: Score,
    playbook: Playbook,
    *,
    score_id: str,
    today: date,
    model_card: str,
    patient_page: str | None = None,
) -> Card | None:
    """The card for a score; None where there is nothing that the site wants to show.

    Args:
        score: the score. A stay without a risk gets no card: there is nothing to say.
        playbook: the site's.
        score_id: of the score; the card's uuid is made of it, so that feedback finds the score.
        today: the day from which a suggestion counts.
        model_card: URL of the model card.
        patient_page: URL that launches the patient's page (SMART); no link without one. The EHR
            hands the score's id on to it, so that it shows what the card showed.
    """
    if not isinstance(score, Scored) or not playbook.shows(score.band):
        return None
    drivers = tuple(one.feature for one in score.reasons if one.direction == "raises")
    suggestions = playbook.suggestions(
        drivers, patient=score.subject, encounter=score.encounter_id, today=today
    )
    label = f"readmit (model {score.model.name}, version {score.model.version})"
    page = Link("Reasons, course and what would change it", patient_page or "", "smart", score_id)
    return Card(
        uuid=str(uuid.uuid5(NAMESPACE, score_id)),
        summary=summary(score, playbook.average),
        detail=detail(score),
        indicator=playbook.indicator[score.band],  # type: ignore[index]  # one of the three, it shows
        source=Source(label, model_card, topic=TOPIC),
        suggestions=suggestions or UNSET,
        selection_behavior=playbook.selection if suggestions else UNSET,
        override_reasons=playbook.override_reasons() or UNSET,
        links=(page,) if patient_page else UNSET,
    )
