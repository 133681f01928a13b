"""What a run knows of how the model was made: paragraphs for the card, none where it knows not."""

import re

from training.findings import Grouping
from training.report.artifacts import RunArtifacts
from training.report.flow import flow_diagram
from training.words import attribute_name, calibration_formula, count, listed, number, percent

Paragraphs = tuple[str, ...]
"""Empty where the run does not know."""

SENSITIVE = {
    "race": r"\brace\b",
    "ethnicity": r"\bethnic",
    "language": r"\blanguage\b",
    "sexual orientation": r"\borientation\b",
    "gender identity": r"\bgender\b",
    "sex": r"\b(sex|female|male)\b",
    "date of birth": r"\b(age|birth)\b",
    "social determinants of health": r"\b(social|housing|homeless|income|employment|payer|food)\b",
    "health status assessments": r"\b(functional status|disability|smok\w*|pregnan\w*|frailty)\b",
}
"""The variables that the regulation asks after, and the words that give them away in a declaration.
A feature may also stand for one of them indirectly, which no list of words can show."""


def model_name(run: RunArtifacts) -> Paragraphs:
    """The study's name, and how to tell this model from another."""
    return (f"{run.facts.study_name} (model {run.model_sha256[:12]})",)


def version(run: RunArtifacts) -> Paragraphs:
    """Of the code and of the model."""
    return (f"readmit {run.facts.code_version}; SHA-256 of the manifest {run.model_sha256}",)


def summary(run: RunArtifacts) -> Paragraphs:
    """In two sentences."""
    return (
        f"Estimates the risk of {run.reference.outcome[0].lower()}{run.reference.outcome[1:]}",
        f"Gradient-boosted trees, {count(run.facts.features_used)} features, learned from "
        f"{count(run.facts.train_stays)} stays and judged on {count(run.evaluation.stays)} stays "
        "of other patients.",
    )


def keywords(run: RunArtifacts) -> Paragraphs:
    """For catalogues."""
    return (f"readmission, {run.facts.horizon_days} days, hospital discharge, FHIR R4, XGBoost",)


def interfaces(_: RunArtifacts) -> Paragraphs:
    """What it reads."""
    return ("Any records system that gives FHIR R4 resources; local codes by a site profile.",)


def outcome(run: RunArtifacts) -> Paragraphs:
    """What is predicted."""
    return (
        run.reference.outcome,
        "The first return counts; one that was planned by the rules of CMS is none. A patient who "
        "dies within the horizon without a readmission counts as not readmitted.",
    )


def outcome_assessment(_: RunArtifacts) -> Paragraphs:
    """Who decided that it happened."""
    return ("By rule from the record, without a person's judgement: nobody had to be blinded.",)


def output_value(run: RunArtifacts) -> Paragraphs:
    """What a score holds."""
    reference = run.reference
    return (
        f"A probability between 0 and 1 of readmission within {reference.horizon_days} days; "
        f"a band: low below {percent(reference.low_below)}, high from "
        f"{percent(reference.high_from)}, moderate between; and what each feature adds, in "
        "log-odds.",
        *_remaining(run),
    )


def _remaining(run: RunArtifacts) -> Paragraphs:
    """That the risk falls with the days at home, and how that is known."""
    curve = run.reference.returns
    if curve is None:
        return ()
    return (
        "After discharge also the risk that is left for a patient who is at home and has not come "
        f"back: from the days of {count(curve.readmissions)} readmissions of training stays, with "
        "a 95 % interval of those days. Death or a planned return ends it.",
    )


def output_type(_: RunArtifacts) -> Paragraphs:
    """By the regulation's words."""
    return ("Prediction.",)


def population(run: RunArtifacts) -> Paragraphs:
    """Whom it is for."""
    return (run.reference.intended_population,)


def criteria(run: RunArtifacts) -> Paragraphs:
    """Who was left out, and how many."""
    flow = flow_diagram(run.flow, run.study.evaluation.smallest_cell)
    left_out = "; ".join(
        f"{' or '.join(box.reasons)} ({count(box.excluded)})" for box in flow.boxes
    )
    return (
        f"Included: {flow.end.step.lower()}, {count(flow.end.left)} of {count(flow.start.left)}.",
        f"Excluded: {left_out or 'nobody'}.",
    )


def out_of_scope(run: RunArtifacts) -> Paragraphs:
    """Whom it has learned nothing about."""
    flow = flow_diagram(run.flow, run.study.evaluation.smallest_cell)
    reasons = [reason for box in flow.boxes for reason in box.reasons]
    return (f"It has learned nothing about stays that were left out: {'; '.join(reasons)}.",)


def sensitive_inputs(run: RunArtifacts) -> Paragraphs:
    """Which of the variables that the regulation asks after are input features."""
    used = {feature.name for feature in run.reference.features if feature.used}
    found: list[str] = []
    absent: list[str] = []
    for variable, words in SENSITIVE.items():
        names = [
            feature.name
            for feature in run.features
            if feature.name in used
            and re.search(words, f"{feature.name.replace('_', ' ')} {feature.measure} {feature.of}")
        ]
        if names:
            found.append(f"{variable}: {', '.join(names)}")
        else:
            absent.append(variable)
    return (
        f"Used as input, by the declarations of the features: {'; '.join(found) or 'none'}.",
        f"Not used: {listed(absent) or 'none'}. Other features may stand for them indirectly.",
    )


def representativeness(run: RunArtifacts) -> Paragraphs:
    """Who was among the test stays."""
    if run.fairness is None:
        return ()
    lines = [
        _shares(each, run.evaluation.stays, run.fairness.smallest_cell)
        for each in run.fairness.groupings
    ]
    if run.fairness.absent:
        names = listed([attribute_name(name).lower() for name in run.fairness.absent])
        lines.append(f"Not on record: {names}.")
    return (f"Of the {count(run.evaluation.stays)} test stays:", *lines)


def _shares(grouping: Grouping, stays: int, smallest: int) -> str:
    shown = ", ".join(
        f"{group.name}: {count(group.stays)} ({percent(group.stays / stays)})"
        for group in grouping.groups
        if group.stays is not None
    )
    hidden = listed([group.name for group in grouping.groups if group.stays is None])
    why = f"fewer than {smallest} stays or outcomes, or to hide such a group"
    parts = [shown, f"not shown ({why}): {hidden}" if hidden else ""]
    return f"{grouping.label}. {'; '.join(part for part in parts if part)}."


def fairness_approach(run: RunArtifacts) -> Paragraphs:
    """What was looked at, and what stops a model."""
    if run.fairness is None:
        return ()
    gates = run.study.gates
    equal = listed([attribute_name(name).lower() for name in gates.equal_opportunity])
    looked = listed([each.label.lower() for each in run.fairness.groupings])
    return (
        f"Every measure is taken by {looked or 'no attribute, since none is on record'}, with gaps "
        "to the other stays on the same samples of patients.",
        "A model is refused, unless waived in writing, where a group is by its interval behind the "
        f"others by more than {number(gates.subgroup_auroc, 2)} in AUROC, or its calibration "
        f"intercept is more than {number(gates.subgroup_intercept, 2)} from 0, or where it is "
        f"behind by more than {number(100 * gates.subgroup_sensitivity, 0)} points in sensitivity: "
        f"the last is asked by {equal or 'no attribute'}.",
    )


def monitoring_rules(run: RunArtifacts) -> Paragraphs:
    """When a model in use is called into question."""
    rules = run.study.monitoring
    return (
        f"An alert is raised when an input's or the scores' population stability index reaches "
        f"{number(rules.psi_alert, 2)}, the share of missing values changes by "
        f"{percent(rules.missing_change, 0)}, the AUROC falls clearly by more than "
        f"{number(rules.auroc_drop, 2)}, the calibration slope leaves "
        f"{number(rules.slope[0], 2)} to {number(rules.slope[1], 2)}, or the intercept is more "
        f"than {number(rules.intercept, 2)} from 0; nothing is said of fewer than "
        f"{count(rules.fewest_stays)} stays.",
    )


def model_type(_: RunArtifacts) -> Paragraphs:
    """The kind of model, and why."""
    return (
        "Gradient-boosted decision trees (XGBoost) with monotone constraints where clinical "
        "knowledge gives a direction, then a logistic recalibration (Platt).",
    )


def building(run: RunArtifacts) -> Paragraphs:
    """The steps of building it."""
    searched = (
        f"Settings were searched in {count(len(run.search.trials))} trials by out-of-fold log loss."
        if run.search
        else "Settings were fixed beforehand; no search was made."
    )
    return (
        f"{count(run.facts.trees)} trees, as many as the out-of-fold loss of patients that were "
        f"not learned from justifies; {count(run.facts.features_used)} of "
        f"{count(run.facts.features)} features were kept by the same measure. {searched}",
    )


def foundation_models(_: RunArtifacts) -> Paragraphs:
    """None is used."""
    return ("None.",)


def input_source(run: RunArtifacts) -> Paragraphs:
    """Where the records are from."""
    kind = "simulated; no patient exists" if run.simulated else "as exported by the hospital"
    return (f"FHIR R4 records read with the site profile {run.facts.profile}: {kind}.",)


def data_types(run: RunArtifacts) -> Paragraphs:
    """In and out."""
    families = listed(sorted({feature.family.replace("_", " ") for feature in run.features}))
    return (
        f"Input: structured records of a patient's care ({families}). Output: a number with its "
        "reasons. No free text and no images.",
    )


def development_data(run: RunArtifacts) -> Paragraphs:
    """How many, with how many outcomes."""
    facts = run.facts
    share = percent(facts.train_readmissions / max(1, facts.train_stays))
    return (
        f"{count(facts.train_stays)} stays of {count(facts.train_patients)} patients, "
        f"{count(facts.train_readmissions)} of them followed by a readmission ({share}).",
        *dates(run),
    )


def dates(run: RunArtifacts) -> Paragraphs:
    """From when to when."""
    facts = run.facts
    if facts.first_discharge and facts.last_discharge:
        return (
            f"Discharges from {facts.first_discharge} to {facts.last_discharge}, each followed for "
            f"{facts.horizon_days} days.",
        )
    return ("Dates are shifted per patient, and do not say when care was given.",)


def preparation(run: RunArtifacts) -> Paragraphs:
    """How records became values."""
    return (
        "Units are converted to one for each concept, and a value in an unknown unit is left out; "
        "the same for all groups. Only what was known at discharge is used. Fingerprint of the "
        f"data: {run.facts.data_fingerprint}.",
    )


def predictors(run: RunArtifacts) -> Paragraphs:
    """Which were offered, and which kept."""
    families = list(dict.fromkeys(feature.family for feature in run.features))
    told = [
        f"{family.replace('_', ' ')} {sum(feature.family == family for feature in run.features)}"
        for family in families
    ]
    return (
        f"{count(run.facts.features)} features were offered ({', '.join(told)}), "
        f"{count(run.facts.features_used)} may be used by the trees. Declared ones were chosen for "
        "their clinical rationale, each with its reference; others for being frequent at the site, "
        "never by their outcome.",
    )


def predictor_definitions(run: RunArtifacts) -> Paragraphs:
    """Where they are."""
    return (
        f"Each of the {count(len(run.features))} features is declared with its codes, window, "
        "unit, rationale and reference in features.json, which is part of the model.",
    )


def predictor_assessment(_: RunArtifacts) -> Paragraphs:
    """Nobody judged."""
    return ("By rule from the record, without a person's judgement.",)


def predictor_handling(_: RunArtifacts) -> Paragraphs:
    """As they are."""
    return ("As they are: trees need no scaling and no form. Some are capped, as declared.",)


def sample_size(run: RunArtifacts) -> Paragraphs:
    """How many, and whether more would help."""
    facts = run.facts
    per_feature = facts.train_readmissions / max(1, facts.features_used)
    curve = (
        "The learning curve shows whether more would help."
        if run.learning
        else "No learning curve was made."
    )
    return (
        f"All stays there are: {count(facts.train_readmissions)} readmissions to learn from, "
        f"{number(per_feature, 1)} for each feature used. {curve} A test with fewer than "
        f"{count(run.study.gates.fewest_test_readmissions)} readmissions lets no model pass.",
    )


def missing_data(run: RunArtifacts) -> Paragraphs:
    """Not filled in."""
    used = [feature for feature in run.reference.features if feature.used]
    most = sorted(used, key=lambda feature: -feature.missing)[:5]
    named = ", ".join(f"{feature.name} {percent(feature.missing)}" for feature in most)
    return (
        "Nothing is filled in: each split of the trees learns which way a missing value goes. "
        f"Most often missing in training: {named or 'nothing'}.",
    )


def split(run: RunArtifacts) -> Paragraphs:
    """Who learned, who was judged."""
    return (run.facts.split,)


def cluster_method(run: RunArtifacts) -> Paragraphs:
    """Whether hospitals were looked at apart."""
    if run.fairness is None:
        return ()
    sites = [each for each in run.fairness.groupings if each.attribute == "site"]
    return (
        "Measured by site, as by other attributes."
        if sites
        else "The records name no site: all are taken to be of one.",
    )


def recalibration(run: RunArtifacts) -> Paragraphs:
    """On what it was calibrated."""
    return (
        "Recalibrated on out-of-fold margins of the training stays: "
        f"{calibration_formula(run.calibration.slope, run.calibration.intercept)}. Not changed "
        "after the test.",
    )


def prediction(_: RunArtifacts) -> Paragraphs:
    """The same code."""
    return ("By the saved model, with the code that scores patients in use.",)


def class_imbalance(_: RunArtifacts) -> Paragraphs:
    """No weights."""
    return ("Classes are neither weighted nor resampled, since both break calibration.",)


def study_file(run: RunArtifacts) -> Paragraphs:
    """Every choice is in the hash."""
    return (
        f"Every choice of the study is in a file with SHA-256 {run.facts.study_sha256}, which is "
        "kept with the run.",
    )


def specification(run: RunArtifacts) -> Paragraphs:
    """Where the whole model is."""
    return (
        "model.ubj (trees), features.json, calibration.json and reference.json, with a manifest "
        f"whose SHA-256 is {run.model_sha256}.",
    )


def security(_: RunArtifacts) -> Paragraphs:
    """What protects the model itself."""
    return (
        "A model is files without executable content; the SHA-256 of each is checked before it is "
        "loaded.",
    )


def transparency(_: RunArtifacts) -> Paragraphs:
    """What can be looked at."""
    return (
        "Every score comes with what each feature adds to it and the records behind it; every run "
        "with a report of its choices, measures and groups.",
    )


def input_in_use(_: RunArtifacts) -> Paragraphs:
    """What a score says of its input."""
    return (
        "A score names inputs that are missing or stale, and is refused outside of the intended "
        "population.",
    )


def bibliography(run: RunArtifacts) -> Paragraphs:
    """The references of the features that the trees may use."""
    used = {feature.name for feature in run.reference.features if feature.used}
    references = sorted({f.reference for f in run.features if f.name in used and f.reference})
    return (
        "Evaluation: doi:10.1177/0272989X06295361 (net benefit), doi:10.1186/s12916-019-1466-7 "
        "(calibration), doi:10.1136/bmj-2023-078378 (TRIPOD+AI).",
        f"Rationale of features: {'; '.join(references) or 'none'}.",
    )
