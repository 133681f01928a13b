"""The summary at the top: what a clinician needs to know, in sentences."""

from dataclasses import dataclass

from training.findings import Evaluation, Fairness, Gated, Subgroup
from training.report.artifacts import RunArtifacts
from training.risk_model import Interval
from training.words import (
    attribute_name,
    count,
    interval,
    listed,
    measured,
    number,
    peer_in_sentence,
    percent,
)

UNSURE = 0.2
"""Width of an AUROC's interval in a group, above which nothing can be said of it."""


@dataclass(frozen=True)
class Point:
    """A question that a reader has, and its answer."""

    question: str
    answer: tuple[str, ...]
    """Sentences, each on its own."""


def summary(run: RunArtifacts) -> list[Point]:
    """Who, how many, how good, beside what, for whom less certain, and what the gates say."""
    points = [
        Point("What it says", _what(run)),
        Point("Whom it learned from", _who(run)),
        Point("How well it tells stays apart", _discrimination(run.evaluation)),
        Point("Beside simpler scores and the model in use", _beside(run.evaluation)),
        Point(
            "Whether its risks can be taken at their word",
            _calibration(run.evaluation, run.study.evaluation.smallest_cell),
        ),
    ]
    if run.evaluation.capacities:
        points.append(Point("What a ward gets from it", _capacity(run.evaluation)))
    tolerance = run.study.gates.subgroup_intercept
    points += [
        Point("For whom it is less certain", less_certain(run.fairness, tolerance)),
        Point("Whether it may replace what is in use", gates_sentences(run.gates)),
    ]
    return points


def _what(run: RunArtifacts) -> tuple[str, ...]:
    sentence = (
        "The risk that a patient who is discharged comes back to hospital, unplanned, within "
        f"{run.facts.horizon_days} days."
    )
    meant = f"Meant for: {run.reference.intended_population}"
    if not run.simulated:
        return (sentence, meant)
    simulated = "The records are simulated: nothing here is evidence of how it does on patients."
    return (sentence, meant, simulated)


def _who(run: RunArtifacts) -> tuple[str, ...]:
    facts, evaluation = run.facts, run.evaluation
    dates = (
        f"Discharges are from {facts.first_discharge} to {facts.last_discharge}."
        if facts.first_discharge and facts.last_discharge
        else "Dates are shifted per patient."
    )
    deaths = small_count(evaluation.deaths, run.study.evaluation.smallest_cell)
    return (
        f"{count(facts.train_stays)} stays of {count(facts.train_patients)} patients; "
        f"{count(facts.train_readmissions)} of the stays were followed by a readmission. {dates}",
        f"It was then judged on {count(evaluation.stays)} stays of {count(evaluation.patients)} "
        f"other patients; {count(evaluation.readmissions)} "
        f"({percent(evaluation.readmissions / max(1, evaluation.stays))}) of these stays were "
        f"followed by a readmission, {deaths} by a death within {facts.horizon_days} days "
        "without one.",
    )


def small_count(value: int, smallest: int) -> str:
    """A count, unless it is of so few people that they might be known."""
    return f"fewer than {smallest}" if 0 < value < smallest else count(value)


def _discrimination(evaluation: Evaluation) -> tuple[str, ...]:
    found = evaluation.model.get("auroc")
    if found is None or found.value is None:
        return ("It cannot be said on these test stays.",)
    sentence = (
        "Of two stays, one followed by a readmission and one not, it gives the higher risk to the "
        f"right one in {number(100 * found.value, 0)} of 100 pairs; chance is 50."
    )
    if found.low is None or found.high is None:
        return (sentence, "There are too few readmissions for an interval.")
    return (
        sentence,
        f"With other patients it might be {number(100 * found.low, 0)} to "
        f"{number(100 * found.high, 0)}: AUROC {interval(found, 'auroc')}.",
    )


def _beside(evaluation: Evaluation) -> tuple[str, ...]:
    sentences = [
        f"It is {_verdict(differences['auroc'])} {peer_in_sentence(name)}, whose AUROC is "
        f"{measured(evaluation.baselines.get(name, {}), 'auroc')}; the difference is "
        f"{interval(differences['auroc'], 'auroc', signed=True)}."
        for name, differences in evaluation.differences.items()
        if name != "prevalence" and "auroc" in differences
    ]
    return tuple(sentences) or ("It was compared with nothing.",)


def _verdict(difference: Interval) -> str:
    if difference.low is not None and difference.low > 0:
        return "clearly better than"
    if difference.high is not None and difference.high < 0:
        return "clearly worse than"
    return "not clearly different from"


def _calibration(evaluation: Evaluation, smallest: int) -> tuple[str, ...]:
    groups = [g for g in evaluation.calibration.groups if g.observed.value is not None]
    stays = sum(group.stays for group in groups)
    sentences = []
    if stays:
        expected = sum(group.stays * group.predicted for group in groups) / stays
        seen = sum(group.stays * (group.observed.value or 0.0) for group in groups) / stays
        told = (
            f"fewer than {smallest} of {count(stays)}"
            if 0 < evaluation.readmissions < smallest
            else percent(seen)
        )
        sentences.append(f"It expected {percent(expected)} to come back, {told} did.")
    sentences += [
        _against(
            evaluation.model.get("calibration_intercept"),
            0.0,
            "calibration_intercept",
            "On the whole its risks are too high",
            "On the whole its risks are too low",
            "No clear sign that they are too high or too low on the whole",
        ),
        _against(
            evaluation.model.get("calibration_slope"),
            1.0,
            "calibration_slope",
            "They are too extreme, high ones too high and low ones too low",
            "They are too timid, high ones too low and low ones too high",
            "No clear sign that they are too extreme or too timid",
        ),
    ]
    return tuple(sentences)


def _against(
    found: Interval | None, ideal: float, key: str, below: str, above: str, neither: str
) -> str:
    name = key.replace("calibration_", "")
    if found is None or found.value is None or found.low is None or found.high is None:
        return f"The calibration {name}, on so few stays: {interval(found, key)}."
    words = below if found.high < ideal else above if found.low > ideal else neither
    return f"{words}: {name} {interval(found, key)}."


def _capacity(evaluation: Evaluation) -> tuple[str, ...]:
    each = min(evaluation.capacities, key=lambda capacity: abs(capacity.share - 0.1))
    sentence = (
        f"If it can follow up the {percent(each.share, 0)} of stays with the highest risks, "
        f"{interval(each.ppv, 'ppv')} of them come back, and these are "
        f"{interval(each.sensitivity, 'sensitivity')} of all who do."
    )
    if each.alerts_per_week is None:
        return (sentence,)
    return (sentence, f"That makes {number(each.alerts_per_week, 1)} stays a week.")


def less_certain(fairness: Fairness | None, tolerance: float) -> tuple[str, ...]:
    """Groups for which the model does worse, about which nothing can be said, or not shown.

    Args:
        fairness: None where the run did not ask.
        tolerance: how far from 0 a group's calibration intercept may be, in log-odds.

    """
    if fairness is None:
        return ("This run did not ask: there is no file of groups.",)
    sentences: list[str] = []
    unsure: dict[str, list[str]] = {}
    hidden: dict[str, list[str]] = {}
    for grouping in fairness.groupings:
        label = grouping.label.lower()
        for group in grouping.groups:
            if group.suppressed:
                hidden.setdefault(label, []).append(group.name)
            elif faults := shortfalls(group, tolerance):
                told = "; ".join(faults)
                sentences.append(f"Clearly worse for {label} {group.name}: {told}.")
            elif _is_unsure(group):
                unsure.setdefault(label, []).append(group.name)
    if unsure:
        sentences.append(f"Too few stays to say for {_by_attribute(unsure)}.")
    if hidden:
        sentences.append(
            f"Not shown, since there are fewer than {fairness.smallest_cell} stays or outcomes, or "
            f"since the numbers would give such a group away: {_by_attribute(hidden)}."
        )
    if fairness.absent:
        names = listed([attribute_name(name).lower() for name in fairness.absent])
        sentences.append(f"Not on record, so nobody knows: {names}.")
    return tuple(sentences) or ("No group was found for which it does clearly worse.",)


def _by_attribute(groups: dict[str, list[str]]) -> str:
    return "; ".join(f"{label} ({', '.join(names)})" for label, names in groups.items())


def shortfalls(group: Subgroup, tolerance: float) -> list[str]:
    """In what a group is worse off than the other stays, by the whole interval.

    Args:
        group: one that may be shown.
        tolerance: how far from 0 the calibration intercept may be, in log-odds.

    """
    found = [
        f"{name} {interval(gap, key, signed=True)} against the others"
        for key, name in (("auroc", "AUROC"), ("sensitivity", "sensitivity at the high band"))
        if (gap := group.gaps.get(key)) is not None and gap.high is not None and gap.high < 0
    ]
    intercept = group.measures.get("calibration_intercept")
    if intercept is not None and intercept.low is not None and intercept.high is not None:
        said = f"calibration intercept {interval(intercept, 'calibration_intercept')}"
        if intercept.low > tolerance:
            found.append(f"risks too low, {said}")
        elif intercept.high < -tolerance:
            found.append(f"risks too high, {said}")
    return found


def _is_unsure(group: Subgroup) -> bool:
    found = group.measures.get("auroc")
    if found is None or found.low is None or found.high is None:
        return True
    return found.high - found.low > UNSURE


def gates_sentences(gated: Gated | None) -> tuple[str, ...]:
    """Whether the gates let the model pass, and on what they did not."""
    if gated is None:
        return ("The gates have not been asked yet; promotion asks them.",)
    failed = [each for each in gated.results if not each.passed and not each.waived]
    if failed:
        sentences = [f"No: {len(failed)} of {len(gated.results)} gates refuse it."]
        sentences += [f"{each.gate.capitalize()}: {'; '.join(each.failures)}." for each in failed]
    else:
        sentences = [f"By the {len(gated.results)} gates it may; a person decides."]
    sentences += [
        f"Waived by {waiver.by} for {waiver.about or f'the gate {waiver.gate}'}: {waiver.reason}"
        for each in gated.results
        for waiver in each.waivers
    ]
    return tuple(sentences)
