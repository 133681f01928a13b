"""The list of one patient's scores, as it is answered."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.score import ModelIdentity


class ScoreSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One score that was given before, in short."""

    score_id: Annotated[str, Meta(description="Ask for the whole of it by this id.")]
    encounter_id: str
    made_at: Annotated[str, Meta(description="When it was given, UTC.")]
    status: Literal["scored", "not_scored"]
    probability: Annotated[
        float | None, Meta(description="Risk as a fraction; null where the stay was not scored.")
    ]
    band: str | None
    unit: Annotated[
        str | None, Meta(description="The unit of the stay; null where no record named it.")
    ]
    model: ModelIdentity


class PatientScores(msgspec.Struct, frozen=True, kw_only=True):
    """The scores of one patient, the newest first."""

    patient: Annotated[str, Meta(description="The Patient's id.")]
    scores: tuple[ScoreSummary, ...]
    next: Annotated[
        str | None, Meta(description="Send it as `after` for the next ones; null at the end.")
    ]
