"""Index stays and their outcomes, and a flow table in which every exclusion is counted.

An index stay ended alive, at home or in a facility, with time enough to see what followed. Its
label is true where the first inpatient admission within the horizon was unplanned; after CMS only
that first one counts, so an unplanned admission that follows a planned one does not. A death
within the horizon without an admission is a competing risk: the label stays false, and deaths are
reported beside it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import msgspec

from fhir_mappings.eligibility import REASONS, died_in, why_not
from fhir_mappings.events import DAY
from fhir_mappings.features.engine import View
from fhir_mappings.stays import Stay, find_stays
from fhir_mappings.timeline import Timeline
from training.cohort.planned import why_planned

HINDSIGHT = 2**61
"""A moment after every record: for labels and exclusions, never for features."""


class CohortRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes an index stay and a readmission."""

    horizon_days: int = 30
    follow_up: bool = True
    """Whether a stay needs a full horizon before the end of the data; not where dates are shifted
    per patient, since the end of the data is then unknown."""


class IndexStay(msgspec.Struct, frozen=True):
    """A stay that counts, with its outcome. Times are microseconds UTC."""

    subject: str
    encounter: str
    stay: Stay
    readmitted: bool
    days_to_readmission: float | None
    died_within_horizon: bool
    planned_return: str | None
    """The rule by which the first return was planned, where it was."""


class PatientCohort(msgspec.Struct):
    """What one patient adds to the cohort and to its flow table."""

    index_stays: list[IndexStay]
    counts: Counter[str]
    """``encounters``, ``stays``, ``returns_30d`` and ``deaths_in_hospital`` with observation merged
    in; the same with ``without_observation.`` before; ``stays_apart``, where the flow starts."""
    excluded: Counter[str]


class FlowStep(msgspec.Struct, frozen=True):
    """One line of the flow table."""

    step: str
    excluded: int
    left: int


STEPS = {
    "observation": "Stay for observation, not an inpatient admission",
    "no_discharge": "No discharge on record (still in hospital, or the end is missing)",
    **REASONS,
    "no_follow_up": "Less than the horizon between discharge and the end of the data",
}
"""Every exclusion in the order of the flow table, with what a person reads."""


def select(timeline: Timeline, rules: CohortRules, end_of_data: int | None) -> PatientCohort:
    """One patient's index stays and outcomes.

    Args:
        timeline: the patient.
        rules: horizon and follow-up.
        end_of_data: the last moment on record at this site, microseconds UTC; None where it is
            unknown, and follow-up then is not asked for.

    """
    counts: Counter[str] = Counter()
    excluded: Counter[str] = Counter()
    everything = hospital_stays(timeline, observation=True)
    without = hospital_stays(timeline, observation=False)
    for prefix, stays in (("", everything), ("without_observation.", without)):
        counts[prefix + "encounters"] += sum(stay.merged for stay in stays)
        counts[prefix + "stays"] += len(stays)
        counts[prefix + "returns_30d"] += count_returns(stays)
        counts[prefix + "deaths_in_hospital"] += sum(
            died_in(stay, timeline.death, stay.end) for stay in stays
        )
    # Apart, not merged: a stay for observation can join two admissions into one, and the
    # difference of the two counts above would be negative.
    counts["stays_apart"] += len(without) + len(timeline.observation_stays)
    excluded["observation"] += len(timeline.observation_stays)
    index_stays = []
    for position, stay in enumerate(without):
        reason = _why_excluded(timeline, stay, rules, end_of_data)
        if reason is None:
            index_stays.append(_index_stay(timeline, stay, without[position + 1 :], rules))
        else:
            excluded[reason] += 1
    return PatientCohort(index_stays, counts, excluded)


def hospital_stays(timeline: Timeline, *, observation: bool) -> tuple[Stay, ...]:
    """A patient's stays; with ``observation``, stays for observation are merged in as well."""
    if not observation:
        return timeline.stays
    kinds = ("inpatient", "observation")
    return find_stays(timeline.visits, kinds, timeline.profile.stays)


def count_returns(stays: Sequence[Stay], days: int = 30) -> int:
    """How many stays are followed by another within so many days, whatever the reason."""
    return sum(
        stay.end is not None and 0 <= following.start - stay.end <= days * DAY
        for stay, following in pairwise(stays)
    )


def flow_table(stays_apart: int, excluded: Counter[str]) -> list[FlowStep]:
    """The flow from all hospital stays to index stays, one line an exclusion.

    Args:
        stays_apart: the count of that name: inpatient stays, and beside them stays for observation,
            each once. Not the count ``stays``, in which observation is merged into admissions.
        excluded: by a code of ``STEPS``.

    """
    left = stays_apart
    table = [FlowStep("Hospital stays, inpatient and observation apart", 0, left)]
    for code, sentence in STEPS.items():
        if code == "observation" or excluded[code]:
            left -= excluded[code]
            table.append(FlowStep(sentence, excluded[code], left))
    table.append(FlowStep("Index stays", 0, left))
    return table


def combine(parts: Iterable[PatientCohort]) -> PatientCohort:
    """The cohort of many patients."""
    whole = PatientCohort([], Counter(), Counter())
    for part in parts:
        whole.index_stays.extend(part.index_stays)
        whole.counts.update(part.counts)
        whole.excluded.update(part.excluded)
    return whole


def _why_excluded(
    timeline: Timeline, stay: Stay, rules: CohortRules, end_of_data: int | None
) -> str | None:
    if stay.end is None:
        return "no_discharge"
    for as_of in (stay.end, HINDSIGHT):
        if (ineligible := why_not(View(timeline, stay, as_of))) is not None:
            return ineligible.code
    horizon_end = stay.end + rules.horizon_days * DAY
    if rules.follow_up and end_of_data is not None and horizon_end > end_of_data:
        return "no_follow_up"
    return None


def _index_stay(
    timeline: Timeline, stay: Stay, later: Sequence[Stay], rules: CohortRules
) -> IndexStay:
    assert stay.end is not None  # noqa: S101 - a stay without an end was excluded before
    horizon_end = stay.end + rules.horizon_days * DAY
    following = next(_within(later, stay.end, horizon_end), None)
    planned = None
    if following is not None:
        planned = why_planned(View(timeline, following, HINDSIGHT))
    readmitted = following is not None and planned is None
    death = timeline.death
    return IndexStay(
        subject=timeline.subject,
        encounter=stay.name,
        stay=stay,
        readmitted=readmitted,
        days_to_readmission=(following.start - stay.end) / DAY
        if following is not None and readmitted
        else None,
        died_within_horizon=death is not None and stay.end < death <= horizon_end,
        planned_return=planned,
    )


def _within(stays: Sequence[Stay], after: int, until: int) -> Iterator[Stay]:
    return (stay for stay in stays if after < stay.start <= until)
