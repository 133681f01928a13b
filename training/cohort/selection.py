"""Index stays and their outcomes, and a flow table in which every exclusion is counted.

An index stay ended alive, at home or in a facility, with time enough to see what followed. Its
label is true where the first inpatient admission within the horizon was unplanned; after CMS only
that first one counts, so an unplanned admission that follows a planned one does not. A death
within the horizon without an admission is a competing risk: the label stays false, and deaths are
reported beside it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import pairwise

import msgspec

from fhir_mappings.consent import OptOuts, refuses, used_now
from fhir_mappings.eligibility import OPTED_OUT, REASONS, died_in, why_not
from fhir_mappings.events import DAY, SECOND
from fhir_mappings.features.engine import View
from fhir_mappings.stays import Stay, find_stays
from fhir_mappings.timeline import Timeline
from training.cohort.external import ExternalCohort
from training.cohort.planned import why_planned

HINDSIGHT = 2**61
"""A moment after every record: for labels and exclusions, never for features."""
_MINUTE = 60 * SECOND
_EPOCH = date(1970, 1, 1).toordinal()


class CohortRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes an index stay and a readmission."""

    horizon_days: int = 30
    follow_up: bool = True
    """Whether a stay needs a full horizon before the end of the data; not where dates are shifted
    per patient, since the end of the data is then unknown."""
    discharged_from: date | None = None
    """The first day of discharge that counts, local time; None for no bound. Not where dates are
    shifted per patient."""
    discharged_before: date | None = None
    """The day from which on discharges no longer count; None for no bound."""


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
    days_to_leaving: float | None
    """Days to the planned return or the death within the horizon after which an unplanned
    readmission can no longer count; None for the readmitted, and where neither happened."""


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
    OPTED_OUT: REASONS[OPTED_OUT],
    "observation": "Stay for observation, not an inpatient admission",
    "no_discharge": "No discharge on record (still in hospital, or the end is missing)",
    "outside_dates": "Discharged outside the study's dates",
    **REASONS,
    "no_follow_up": "Less than the horizon between discharge and the end of the data",
}
"""Every exclusion in the order of the flow table, with what a person reads."""

EXTERNAL_STEPS = {
    "not_on_record": "Not on record",
    OPTED_OUT: REASONS[OPTED_OUT],
    "not_inpatient": "On record, but not part of an inpatient stay",
    "no_discharge": STEPS["no_discharge"],
}
"""The same where an external cohort replaces the rules."""


def select(
    timeline: Timeline,
    rules: CohortRules,
    end_of_data: int | None,
    external: ExternalCohort | None = None,
    *,
    opt_outs: OptOuts | None = None,
) -> PatientCohort:
    """One patient's index stays and outcomes.

    Args:
        timeline: the patient.
        rules: horizon and follow-up.
        end_of_data: the last moment on record at this site, microseconds UTC; None where it is
            unknown, and follow-up then is not asked for.
        external: the stays and labels that replace the rules; the horizon still holds for deaths.
        opt_outs: the site's list and the moment of use; without it nobody is listed, and it is now.

    Raises:
        StudyError: if the external cohort names two encounters of one stay.

    """
    opt_outs = used_now(timeline.profile) if opt_outs is None else opt_outs
    if refuses(timeline.subject, timeline.consents, "training", opt_outs):
        return refused(timeline, external)
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
    if external is not None:
        return _select_external(timeline, rules, external, counts)
    excluded["observation"] += len(timeline.observation_stays)
    index_stays = []
    for position, stay in enumerate(without):
        reason = _why_excluded(timeline, stay, rules, end_of_data, opt_outs)
        if reason is None:
            index_stays.append(_index_stay(timeline, stay, without[position + 1 :], rules))
        else:
            excluded[reason] += 1
    return PatientCohort(index_stays, counts, excluded)


def refused(timeline: Timeline, external: ExternalCohort | None = None) -> PatientCohort:
    """What a patient who does not want to be learned from adds: a count of stays left out."""
    counts: Counter[str] = Counter()
    excluded: Counter[str] = Counter()
    counts["stays_apart"] += len(timeline.stays) + len(timeline.observation_stays)
    if external is None:
        excluded[OPTED_OUT] += counts["stays_apart"]
    else:
        named = {visit.encounter for visit in timeline.visits} & external.labels.keys()
        counts["external_on_record"] += len(named)
        excluded[OPTED_OUT] += len(named)
    return PatientCohort([], counts, excluded)


def _select_external(
    timeline: Timeline, rules: CohortRules, external: ExternalCohort, counts: Counter[str]
) -> PatientCohort:
    """The stays that an external cohort names, with its labels."""
    excluded: Counter[str] = Counter()
    index_stays = []
    named = {visit.encounter for visit in timeline.visits} & external.labels.keys()
    counts["external_on_record"] += len(named)
    stays = timeline.stays
    for position, stay in enumerate(stays):
        encounter = external.of_stay(stay.all_encounters)
        if encounter is None:
            continue
        named.discard(encounter)
        if stay.end is None:
            excluded["no_discharge"] += 1
            continue
        own = _index_stay(timeline, stay, stays[position + 1 :], rules)
        readmitted = external.labels[encounter]
        days = _days_to_return(stay, stays[position + 1 :], rules)
        index_stays.append(
            msgspec.structs.replace(
                own,
                readmitted=readmitted,
                days_to_readmission=days if readmitted else None,
                days_to_leaving=None
                if readmitted
                else _days_to_leaving(timeline, stay, days, rules),
            )
        )
    excluded["not_inpatient"] += len(named)
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
    table = [FlowStep("Hospital stays on record", 0, left)]
    for code, sentence in STEPS.items():
        if code == "observation" or excluded[code]:
            left -= excluded[code]
            table.append(FlowStep(sentence, excluded[code], left))
    table.append(FlowStep("Index stays", 0, left))
    return table


def external_flow(external: ExternalCohort, whole: PatientCohort) -> list[FlowStep]:
    """The flow from the encounters that an external cohort asked for to the stays of the study."""
    left = len(external.labels)
    excluded = Counter(whole.excluded)
    excluded["not_on_record"] = left - whole.counts["external_on_record"]
    table = [FlowStep(f"Encounters asked for in {external.file}", 0, left)]
    for code, sentence in EXTERNAL_STEPS.items():
        if code != OPTED_OUT or excluded[code]:
            left -= excluded[code]
            table.append(FlowStep(sentence, excluded[code], left))
    table.append(FlowStep("Index stays, with the labels of the file", 0, left))
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
    timeline: Timeline,
    stay: Stay,
    rules: CohortRules,
    end_of_data: int | None,
    opt_outs: OptOuts,
) -> str | None:
    if stay.end is None:
        return "no_discharge"
    if not _within_dates(stay, stay.end, rules):
        return "outside_dates"
    for as_of in (stay.end, HINDSIGHT):
        if (ineligible := why_not(View(timeline, stay, as_of), "training", opt_outs)) is not None:
            return ineligible.code
    horizon_end = stay.end + rules.horizon_days * DAY
    if rules.follow_up and end_of_data is not None and horizon_end > end_of_data:
        return "no_follow_up"
    return None


def _within_dates(stay: Stay, end: int, rules: CohortRules) -> bool:
    """Whether the local day of the discharge is within the study's dates."""
    day = date.fromordinal(_EPOCH + (end + (stay.utc_offset or 0) * _MINUTE) // DAY)
    return (rules.discharged_from is None or day >= rules.discharged_from) and (
        rules.discharged_before is None or day < rules.discharged_before
    )


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
    days = _days_to_return(stay, later, rules)
    return IndexStay(
        subject=timeline.subject,
        encounter=stay.name,
        stay=stay,
        readmitted=readmitted,
        days_to_readmission=days if readmitted else None,
        died_within_horizon=death is not None and stay.end < death <= horizon_end,
        planned_return=planned,
        days_to_leaving=None if readmitted else _days_to_leaving(timeline, stay, days, rules),
    )


def _days_to_return(stay: Stay, later: Sequence[Stay], rules: CohortRules) -> float | None:
    """Days to the first admission within the horizon; None where the records have none."""
    assert stay.end is not None  # noqa: S101 - a stay without an end was excluded before
    following = next(_within(later, stay.end, stay.end + rules.horizon_days * DAY), None)
    return None if following is None else (following.start - stay.end) / DAY


def _days_to_leaving(
    timeline: Timeline, stay: Stay, days_to_return: float | None, rules: CohortRules
) -> float | None:
    """Days to the first return, which does not count, or to the death within the horizon."""
    assert stay.end is not None  # noqa: S101 - a stay without an end was excluded before
    found = [] if days_to_return is None else [days_to_return]
    if timeline.death is not None:
        until_death = (timeline.death - stay.end) / DAY
        if 0 < until_death <= rules.horizon_days:
            found.append(until_death)
    return min(found, default=None)


def _within(stays: Sequence[Stay], after: int, until: int) -> Iterator[Stay]:
    return (stay for stay in stays if after < stay.start <= until)
