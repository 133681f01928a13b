"""What a run knows of how the model does: paragraphs for the card, none where it knows not."""

from training.findings import Grouping
from training.model_card.method import Paragraphs
from training.report.artifacts import RunArtifacts
from training.report.summary import gates_sentences, less_certain, small_count
from training.report.summary import summary as report_summary
from training.words import (
    count,
    interval,
    listed,
    measure_name,
    measured,
    number,
    peer_name,
    percent,
    points,
)

SHOWN = ("auroc", "calibration_intercept", "calibration_slope", "sensitivity", "ppv")


def test_validity(run: RunArtifacts) -> Paragraphs:
    """Every measure with its interval, beside the baselines."""
    evaluation = run.evaluation
    measures = "; ".join(
        f"{measure_name(key)} {measured(evaluation.model, key)}" for key in evaluation.model
    )
    beside = "; ".join(
        f"{peer_name(name)} {measured(measures, 'auroc')}"
        for name, measures in evaluation.baselines.items()
        if name != "prevalence"
    )
    return (
        f"{measures}. 95 % intervals from {count(evaluation.resamples)} samples of the patients.",
        f"AUROC on the same stays: {beside or 'compared with nothing'}.",
    )


def test_fairness(run: RunArtifacts) -> Paragraphs:
    """The measures that gates look at, group by group."""
    if run.fairness is None:
        return ()
    return tuple(
        line
        for grouping in run.fairness.groupings
        for line in _group_lines(grouping, run.fairness.smallest_cell)
    ) or ("No attribute that was asked for is on record.",)


def _group_lines(grouping: Grouping, smallest: int) -> list[str]:
    lines = []
    for group in grouping.groups:
        if group.suppressed:
            told = f"not shown (fewer than {smallest}, or to hide such a group)"
        else:
            told = "; ".join(
                f"{measure_name(key)} {measured(group.measures, key)}"
                for key in SHOWN
                if key in group.measures
            )
        lines.append(f"{grouping.label}, {group.name}: {told}.")
    if grouping.equal_opportunity_difference is not None:
        lines.append(
            f"{grouping.label}: largest difference of sensitivity between groups "
            f"{points(grouping.equal_opportunity_difference)}."
        )
    return lines


def uncertain_groups(run: RunArtifacts) -> Paragraphs:
    """For whom the model does worse, or nothing can be said."""
    if run.fairness is None:
        return ()
    return less_certain(run.fairness, run.study.gates.subgroup_intercept)


def limitations(run: RunArtifacts) -> Paragraphs:
    """What the run itself shows of its limits."""
    evaluation = run.evaluation
    found = []
    if run.simulated:
        found.append("The records are simulated: no figure is evidence for patients.")
    needed = run.study.gates.fewest_test_readmissions
    if evaluation.readmissions < needed:
        found.append(
            f"The test has {_test_readmissions(run)} readmissions; an interval needs "
            f"{count(needed)}."
        )
    if run.leakage is not None and run.leakage.findings:
        names = listed([each.feature for each in run.leakage.findings])
        found.append(f"The leakage audit flagged {names}.")
    if run.leakage is None:
        found.append("No leakage audit was made.")
    if run.fairness is None:
        found.append("It is not known for whom it works: groups were not measured.")
    else:
        found += uncertain_groups(run)
    found.append("What it says of features are associations, not causes.")
    return tuple(found)


def usefulness_goal(_: RunArtifacts) -> Paragraphs:
    """What is to be shown."""
    return ("That following up the stays with the highest risks finds those who come back.",)


def usefulness_results(run: RunArtifacts) -> Paragraphs:
    """At what a ward can follow up, and the area under the curve."""
    lines = [
        f"Following up {percent(each.share, 0)} of the stays: PPV {interval(each.ppv, 'ppv')}, "
        f"sensitivity {interval(each.sensitivity, 'sensitivity')}, stays for each readmission "
        f"{interval(each.number_needed_to_evaluate, digits=1)}."
        for each in run.evaluation.capacities
    ]
    return (f"AUROC {measured(run.evaluation.model, 'auroc')}.", *lines)


def usefulness_meaning(run: RunArtifacts) -> Paragraphs:
    """The summary's sentences on discrimination and on what it is compared with."""
    wanted = ("How well it tells stays apart", "Beside simpler scores and the model in use")
    return tuple(
        sentence
        for point in report_summary(run)
        if point.question in wanted
        for sentence in point.answer
    )


def fairness_goal(run: RunArtifacts) -> Paragraphs:
    """What is to be shown."""
    allowed = number(run.study.gates.subgroup_auroc, 2)
    return (f"That no group is clearly behind the others by more than {allowed} in AUROC.",)


def safety_goal(_: RunArtifacts) -> Paragraphs:
    """What is to be shown."""
    return ("That risks can be taken at their word, and that no feature knows the future.",)


def safety_results(run: RunArtifacts) -> Paragraphs:
    """Calibration and leakage."""
    model = run.evaluation.model
    lines = [
        f"Calibration intercept {measured(model, 'calibration_intercept')}, slope "
        f"{measured(model, 'calibration_slope')}, Brier score {measured(model, 'brier')}."
    ]
    if run.leakage is not None:
        lines.append(
            f"{count(run.leakage.features)} features audited for leakage, "
            f"{count(len(run.leakage.findings))} flagged."
        )
    if run.explanation is not None and run.explanation.stability.mean_overlap is not None:
        overlap = percent(run.explanation.stability.mean_overlap, 0)
        lines.append(f"Refits share {overlap} of the ten strongest features.")
    return tuple(lines)


def safety_meaning(run: RunArtifacts) -> Paragraphs:
    """The summary's sentences on calibration, and the gates."""
    told = [
        sentence
        for point in report_summary(run)
        if point.question == "Whether its risks can be taken at their word"
        for sentence in point.answer
    ]
    return (*told, *gates_sentences(run.gates))


def test_type(run: RunArtifacts) -> Paragraphs:
    """Internal: patients of the same source that were not learned from."""
    kind = ", on simulated records" if run.simulated else ""
    return (f"Internal: patients of the same source who were not learned from{kind}.",)


def testing_data(run: RunArtifacts) -> Paragraphs:
    """Who was judged on."""
    evaluation = run.evaluation
    deaths = small_count(evaluation.deaths, run.study.evaluation.smallest_cell)
    trained = percent(run.facts.train_readmissions / max(1, run.facts.train_stays))
    # A share and the stays that it is of would give a small count away.
    judged = (
        "too few to be told"
        if 0 < evaluation.readmissions < run.study.evaluation.smallest_cell
        else percent(evaluation.readmissions / max(1, evaluation.stays))
    )
    return (
        f"{count(evaluation.stays)} stays of {count(evaluation.patients)} patients, "
        f"{_test_readmissions(run)} followed by a readmission, {deaths} deaths without one. "
        f"Readmitted: {judged} in the test, {trained} in training.",
    )


def _test_readmissions(run: RunArtifacts) -> str:
    return small_count(run.evaluation.readmissions, run.study.evaluation.smallest_cell)


def validation_process(run: RunArtifacts) -> Paragraphs:
    """How it was judged, and why so."""
    return (
        f"{run.facts.split} Intervals resample patients, since stays of one patient resemble each "
        "other; the model and what it is compared with are measured on the same samples.",
        "Discrimination, calibration, net benefit and what a ward can follow up are each measured: "
        "none says what the others do.",
    )


def flow(run: RunArtifacts) -> Paragraphs:
    """Numbers in each part."""
    facts = run.facts
    return (
        f"Training: {count(facts.train_stays)} stays, {count(facts.train_patients)} patients, "
        f"{count(facts.train_readmissions)} readmissions. Test: {count(run.evaluation.stays)} "
        f"stays, {count(run.evaluation.patients)} patients, "
        f"{_test_readmissions(run)} readmissions.",
    )


def cluster_results(run: RunArtifacts) -> Paragraphs:
    """By site, where the record says it."""
    if run.fairness is None:
        return ()
    sites = [each for each in run.fairness.groupings if each.attribute == "site"]
    return tuple(
        line for each in sites for line in _group_lines(each, run.fairness.smallest_cell)
    ) or ("The records name no site: nothing can be said of differences between sites.",)


def updating_results(run: RunArtifacts) -> Paragraphs:
    """Against the model in use."""
    differences = run.evaluation.differences.get("champion")
    if differences is None:
        return ("There was no model in use to update.",)
    told = "; ".join(
        f"{measure_name(key)} {interval(value, key, signed=True)}"
        for key, value in differences.items()
    )
    return (f"This model minus the one in use: {told}.",)
