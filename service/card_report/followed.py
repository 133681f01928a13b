"""Whether the cards were right: how many were followed by an unplanned readmission.

The rule is the cohort's (``training.cohort``): the stay counts as an index stay, and its first
inpatient admission within thirty days was unplanned. A card shows a high risk and not a certainty:
beside the share stands the mean risk that the same cards named, and that is what it should be.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from fhir_mappings.consent import OptOuts, refuses
from fhir_mappings.events import DAY
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.store import Store
from fhir_mappings.timeline import Timeline
from service.small_cells import SMALLEST_CELL
from training.cohort.selection import CohortRules, select
from training.dataset import end_of_data
from training.study_records import StudyRecords

RULES: Final = CohortRules(follow_up=False)
"""The cohort's; how long a stay has been followed is looked at here, stay by stay."""


class ShownRisk(msgspec.Struct, frozen=True):
    """What a card said, of whom: read from its score, whose other fields are passed over."""

    subject: str
    encounter_id: str
    probability: float


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """What followed the cards whose thirty days are over."""

    readmitted: int
    """Cards; at least so many, the multiple of eleven at or below it."""
    not_readmitted: int
    """Likewise."""
    ppv: float
    """The share of them that was followed by an unplanned readmission."""
    low: float
    high: float
    """A 95 % interval (Wilson 1927, doi:10.1080/01621459.1927.10502953), which takes each card for
    itself: where one stay had several it is too narrow."""
    mean_risk: float
    """What the same cards said, on average."""


class Judged(msgspec.Struct, frozen=True):
    """A card whose thirty days are over."""

    subject: str
    risk: float
    readmitted: bool


def judged(
    shown: Iterable[ShownRisk],
    store: Store,
    profile: SiteProfile,
    opt_outs: OptOuts,
    progress: Callable[[int, int], None],
) -> list[Judged]:
    """The cards whose stay is an index stay of the cohort that has been followed for long enough.

    Left out are the cards of patients who opted out, of stays that are not on record or not index
    stays, and of those that ended less than thirty days before the end of what is on record.

    Args:
        shown: what each card said.
        store: the events, of the EHR that the cards were shown in.
        profile: how the site codes.
        opt_outs: the site's list and the moment of use.
        progress: told patients done and patients in all.
    """
    by_subject: defaultdict[str, list[ShownRisk]] = defaultdict(list)
    for one in shown:
        by_subject[one.subject].append(one)
    until = end_of_data(StudyRecords(store, profile, opt_outs)) if profile.calendar else None
    concepts = site_concepts(profile)
    found = []
    for done, (subject, theirs) in enumerate(sorted(by_subject.items()), 1):
        timeline = Timeline(subject, store.read_subject(subject), concepts, profile)
        outcomes = _outcomes(timeline, until, opt_outs)
        found += [
            Judged(subject, one.probability, outcomes[one.encounter_id])
            for one in theirs
            if one.encounter_id in outcomes
        ]
        progress(done, len(by_subject))
    return found


def followed(cards: Sequence[Judged]) -> Followed | None:
    """The share with its interval; None where fewer than eleven patients were, or were not."""
    from statsmodels.stats.proportion import proportion_confint

    groups = [[card for card in cards if card.readmitted is answer] for answer in (True, False)]
    if min(len({card.subject for card in group}) for group in groups) < SMALLEST_CELL:
        return None
    yes, no = (len(group) for group in groups)
    low, high = proportion_confint(yes, yes + no, alpha=0.05, method="wilson")
    return Followed(
        readmitted=yes // SMALLEST_CELL * SMALLEST_CELL,
        not_readmitted=no // SMALLEST_CELL * SMALLEST_CELL,
        ppv=round(yes / (yes + no), 2),
        low=round(float(low), 2),
        high=round(float(high), 2),
        mean_risk=round(sum(card.risk for card in cards) / len(cards), 2),
    )


def _outcomes(timeline: Timeline, until: int | None, opt_outs: OptOuts) -> Mapping[str, bool]:
    """Whether an unplanned readmission followed, by each encounter of the stays that count."""
    if refuses(timeline.subject, timeline.consents, "training", opt_outs):
        return {}
    cohort = select(timeline, RULES, until, opt_outs=opt_outs)
    return {
        encounter: index.readmitted
        for index in cohort.index_stays
        if until is None or (index.stay.end or until) + RULES.horizon_days * DAY <= until
        for encounter in index.stay.all_encounters
    }
