"""The leakage audit: does a feature know the outcome?

Readmission is hard to predict: whole models reach an AUROC of 0.55 to 0.83 (Kansagara 2011,
doi:10.1001/jama.2011.1515). A feature that discriminates like the best of them alone has, as a
rule, been recorded because of the readmission, or after it. Each feature is therefore measured
alone on the training stays, by its values and by whether there is a value: a test that is ordered
only on return leaks by its presence.

The measure looks for what rises or falls with the risk. A leak that is neither, coded in numbers
without an order, would only show in the model's own AUROC, for which there is a limit too.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from training.evaluation import metrics
from training.evaluation.resampling import estimates
from training.explanation.discharge_records import FeatureRecords
from training.findings import LeakageAudit, LeakFinding
from training.risk_model import Interval
from training.study import DEFAULT_SEED, Gates
from training.study_data import BoolArray, FloatArray, StudyData
from training.words import count, percent
from training.words import interval as written

MODEL = "model"
"""What stands in place of a feature where the model as a whole is meant."""
STRONGEST_ALONE = 10
RESAMPLES = 500
SMALLEST_ASSUMED = 0.1
"""Share of stays from which a value that rests on an assumption is worth a caution."""
_AT_ONCE = 64
"""Columns that are ranked together: three copies of them are held."""

_Reading = Literal["missing is lowest", "missing is highest", "is missing"]
_READINGS: tuple[_Reading, ...] = ("missing is lowest", "missing is highest", "is missing")
"""How a column becomes an order of stays; stays without a value are a group of their own."""
_PRESENCE = _READINGS.index("is missing")
_NEARLY = 0.01
"""Where presence alone discriminates as well but for this, it is the leak, and not the values."""


def audit_leakage(
    learning: StudyData,
    test_auroc: Interval,
    gates: Gates,
    *,
    records: Sequence[FeatureRecords] = (),
    resamples: int = RESAMPLES,
    seed: int = DEFAULT_SEED,
) -> LeakageAudit:
    """Look for features that discriminate too well alone, or that knew what came later.

    ``implausible_alone``: the lower end of the feature's AUROC alone is above
    ``gates.single_feature_auroc``. ``after_discharge``: a value differs by the record as it stood
    at the discharge, or cannot be computed from the records. ``model_implausible``: the model's
    AUROC on the test stays is above ``gates.auroc_implausible``. ``coded_at_discharge``, a caution
    that fails no gate: many values rest on codes that only the site profile says were known.

    Args:
        learning: the training stays: a feature that leaks does so there, and the test stays remain
            unseen.
        test_auroc: of the model on the test stays.
        gates: the limits.
        records: what computing rows anew showed (``check_records``); without it nothing is said
            of what was known when.
        resamples: of patients, for the intervals of the suspicious ones.
        seed: of the draws.
    """
    by_reading = _alone(learning)
    alone = by_reading.max(axis=0)
    presence = by_reading[_PRESENCE] > alone - _NEARLY
    names = [feature.name for feature in learning.features]
    suspicious = np.flatnonzero(alone > gates.single_feature_auroc)
    readings = {int(column): _READINGS[by_reading[:, column].argmax()] for column in suspicious}
    intervals = _intervals(learning, readings, resamples, seed)
    findings = [
        _implausible_alone(names[column], bool(presence[column]), interval, gates)
        for column, interval in sorted(intervals.items(), key=lambda pair: -alone[pair[0]])
        if interval.low is not None and interval.low > gates.single_feature_auroc
    ]
    findings += [_after_discharge(each) for each in records if each.later > 0 or each.stays == 0]
    if test_auroc.value is not None and test_auroc.value > gates.auroc_implausible:
        findings.append(_model_implausible(test_auroc, gates))
    assumed = sorted(
        (each for each in records if each.assumed >= SMALLEST_ASSUMED),
        key=lambda each: (-each.assumed, each.feature),
    )
    order = np.argsort(-alone, kind="stable")[:STRONGEST_ALONE]
    return LeakageAudit(
        features=len(names),
        limit=gates.single_feature_auroc,
        strongest_alone=tuple((names[column], round(float(alone[column]), 6)) for column in order),
        findings=tuple(findings),
        cautions=tuple(_coded_at_discharge(each) for each in assumed),
    )


def _alone(learning: StudyData) -> FloatArray:
    """The AUROC of each feature alone, readings x features, in the direction that serves it best.

    The better of two directions is never below a half, which flatters a feature that says nothing;
    less than any limit would notice.
    """
    found = np.empty((len(_READINGS), learning.values.shape[1]))
    for start in range(0, found.shape[1], _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        values = learning.values[:, part].astype(np.float64)
        for row, reading in enumerate(_READINGS):
            found[row, part] = _auroc(_order(values, reading), learning.outcome)
    return np.maximum(found, 1 - found)


def _order(values: FloatArray, reading: _Reading) -> FloatArray:
    """Ranks of the stays within each column, ties sharing theirs."""
    if reading == "is missing":
        return np.asarray(rankdata(np.isnan(values), axis=0))
    ends = {"missing is lowest": -np.inf, "missing is highest": np.inf}
    return np.asarray(rankdata(np.where(np.isnan(values), ends[reading], values), axis=0))


def _auroc(ranks: FloatArray, outcome: BoolArray) -> FloatArray:
    """AUROC of each column of ranks (Mann and Whitney's U over the number of pairs)."""
    positive = int(outcome.sum())
    pairs = positive * (len(outcome) - positive)
    below = ranks[outcome].sum(axis=0) - positive * (positive + 1) / 2
    return np.asarray(below / pairs)


def _intervals(
    learning: StudyData, readings: Mapping[int, _Reading], resamples: int, seed: int
) -> dict[int, Interval]:
    """The AUROC alone of the suspicious columns, with intervals from resampled patients."""
    scores = {}
    for column, reading in readings.items():
        ranks = _order(learning.values[:, [column]].astype(np.float64), reading)[:, 0]
        falls = float(_auroc(ranks[:, None], learning.outcome)[0]) < 0.5
        scores[column] = -ranks if falls else ranks

    def measure(weights: FloatArray) -> dict[int, FloatArray]:
        return {
            column: metrics.auroc(score, learning.outcome, weights)
            for column, score in scores.items()
        }

    found = estimates(measure, learning.subjects, resamples=resamples, seed=seed)
    return {column: estimate.interval() for column, estimate in found.items()}


def _implausible_alone(
    name: str, by_presence: bool, interval: Interval, gates: Gates
) -> LeakFinding:
    what = f"{name}, by whether it has a value," if by_presence else name
    return LeakFinding(
        feature=name,
        sign="implausible_alone",
        auroc=interval,
        sentence=f"{what} alone tells readmitted from other training stays with an AUROC of "
        f"{written(interval, 'auroc')}; above {gates.single_feature_auroc:g} a feature is taken "
        "for a leak until it is shown where its values come from and when they were known.",
    )


def _after_discharge(records: FeatureRecords) -> LeakFinding:
    if records.stays == 0:
        sentence = (
            f"{records.feature} cannot be computed from the records: nothing shows that its values "
            "were known at the discharge."
        )
    else:
        sentence = (
            f"{records.feature} has another value by the record as it stood at the discharge in "
            f"{_percent(records.later)} of {count(records.stays)} stays: it knows what came later, "
            "or does not come from the records."
        )
    return LeakFinding(records.feature, "after_discharge", None, sentence)


def _coded_at_discharge(records: FeatureRecords) -> LeakFinding:
    return LeakFinding(
        feature=records.feature,
        sign="coded_at_discharge",
        auroc=None,
        sentence=f"{records.feature} rests in {_percent(records.assumed)} of "
        f"{count(records.stays)} stays on codes of the stay without a time of their own, taken as "
        "known when it ended. If this site codes after the discharge, the site profile must say "
        "so.",
    )


def _model_implausible(test_auroc: Interval, gates: Gates) -> LeakFinding:
    return LeakFinding(
        feature=MODEL,
        sign="model_implausible",
        auroc=test_auroc,
        sentence=f"The model's AUROC on the test stays is {written(test_auroc, 'auroc')}; above "
        f"{gates.auroc_implausible:g}, more than readmission models reach, it is taken for a leak "
        "until shown otherwise.",
    )


def _percent(share: float) -> str:
    """A share in per cent; one that is not zero is never written as zero."""
    return f"under {percent(0.01, 0)}" if share < 0.01 else percent(share, 0)
