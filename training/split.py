"""Which stays a model learns from, and which it is judged on: never the same patient in both.

There are two parts, train and test, and folds within train. Each fold is in turn the validation
part for the models fitted on the others: the number of trees, the choice of features and the
calibration all rest on these out-of-fold predictions. A fixed validation part would cost a fifth
of the stays and, with 25 readmissions in a cohort, hold five of them.
"""

from dataclasses import dataclass
from hashlib import blake2b
from math import ceil

import numpy as np
import numpy.typing as npt

from fhir_mappings.errors import StudyError
from training.study import SplitRules
from training.study_data import BoolArray, StudyData

_DEFAULT = SplitRules()

FOLDS = 5
"""Parts of the training stays that take turns as validation, fewer when patients are few."""
FEWEST_IN_TRAIN = 10
"""Readmissions, and stays without, that the training part must hold."""
FEWEST_IN_TEST = 3
"""Readmissions, and stays without, that the test part must hold."""


@dataclass(frozen=True)
class Split:
    """Patient-disjoint parts of a study's stays."""

    train: BoolArray
    test: BoolArray
    folds: npt.NDArray[np.int8]
    """The fold of each training stay from 0 on; -1 for stays outside the training part."""
    sentence: str
    """How the stays were split, and why so, for the report."""


def split_stays(data: StudyData, *, seed: int, rules: SplitRules = _DEFAULT) -> Split:
    """Split by time, by patient or by site; unless told which, by time where times compare.

    By time: a date is chosen that the test's share of the stays are discharged on or after.
    Patients with all stays on one side belong to that side. A patient with stays on both sides
    goes, by a coin toss that depends only on the seed and the patient's id, to train with the stays
    before the date or to test with the stays after it; the other stays are in no part. Sending all
    of them to one side instead would strip the other of its frequent returners.

    By patient: patients with and without a readmission are dealt separately, in an order that
    depends only on the seed and the id, until the test part has its share of stays.

    By site: all stays at the test's sites are kept for it, and patients who were seen at sites of
    both kinds are treated as those on both sides of a date. It asks whether a model holds at a
    hospital that it has not learned from.

    Args:
        data: the stays.
        seed: of the coin tosses and the dealing.
        rules: how to split; ``auto`` turns to patients where a split by time is not possible.

    Raises:
        StudyError: if either part would hold too few readmissions or too few stays without; if a
            split by time is asked for where dates are shifted per patient, or one by site where
            records do not say the site, say only one, or not one that is named.
    """
    outcomes = int(data.outcome.sum())
    if outcomes in (0, len(data)):
        which = "no stay" if outcomes == 0 else "every stay"
        raise StudyError(f"nothing to learn: {which} of {len(data)} was followed by a readmission")
    keys = _keys(data.subjects, seed)
    if rules.by == "site":
        return _whole(data, keys, _by_site(data, keys, rules))
    if rules.by == "time":
        if not data.calendar:
            raise StudyError(
                "a split by time is asked for, but this site's dates are shifted for each patient "
                "and do not compare"
            )
        return _whole(data, keys, _by_time(data, keys, rules.test_share))
    reason = "as the study asks"
    if rules.by == "auto":
        reason = "because this site's dates are shifted for each patient"
        if data.calendar:
            parts = _by_time(data, keys, rules.test_share)
            if _shortage(data.outcome, parts.train, parts.test) is None:
                return _whole(data, keys, parts)
            reason = "because a split by time would leave too few readmissions in one part"
    test = _deal(data, keys, rules.test_share)
    counts = _counts(data, ~test, test)
    sentence = f"By patient, {reason}: {counts}. No patient is in both parts."
    return _whole(data, keys, _Parts(~test, test, sentence))


@dataclass(frozen=True)
class _Parts:
    train: BoolArray
    test: BoolArray
    sentence: str


def _whole(data: StudyData, keys: npt.NDArray[np.uint64], parts: _Parts) -> Split:
    """The split with its folds.

    Raises:
        StudyError: if a part holds too few.
    """
    if shortage := _shortage(data.outcome, parts.train, parts.test):
        raise StudyError(
            f"too few patients to train and test on ({len(data)} stays, "
            f"{int(data.outcome.sum())} readmissions): {shortage}"
        )
    return Split(parts.train, parts.test, _folds(data, parts.train, keys), parts.sentence)


def _counts(data: StudyData, train: BoolArray, test: BoolArray) -> str:
    return (
        f"{int(train.sum()):,} stays with {int(data.outcome[train].sum()):,} readmissions to train "
        f"on, {int(test.sum()):,} with {int(data.outcome[test].sum()):,} to test on"
    )


def _shortage(outcome: BoolArray, train: BoolArray, test: BoolArray) -> str | None:
    for name, part, fewest in (
        ("training", train, FEWEST_IN_TRAIN),
        ("test", test, FEWEST_IN_TEST),
    ):
        with_outcome = int(outcome[part].sum())
        without = int(part.sum()) - with_outcome
        if min(with_outcome, without) < fewest:
            return (
                f"the {name} part would hold {with_outcome} stays with a readmission and "
                f"{without} without, and needs {fewest} of each"
            )
    return None


def _keys(subjects: npt.NDArray[np.object_], seed: int) -> npt.NDArray[np.uint64]:
    """A number for each stay's patient that neither row order nor Python's hash seed changes."""
    unique, inverse = np.unique(subjects.astype(str), return_inverse=True)
    numbers = np.array(
        [
            int.from_bytes(blake2b(f"{seed}:{subject}".encode(), digest_size=8).digest(), "big")
            for subject in unique
        ],
        dtype=np.uint64,
    )
    return numbers[inverse]


def _by_time(data: StudyData, keys: npt.NDArray[np.uint64], share: float) -> _Parts:
    discharged = data.stays["discharged"].reset_index(drop=True)
    cut = discharged.sort_values().iloc[int(len(data) * (1 - share))].normalize()
    after = (discharged >= cut).to_numpy()
    train, test = _apart(data, after, keys)
    apart = len(data) - int(train.sum()) - int(test.sum())
    sentence = (
        f"By time: {_counts(data, train, test)}; the test stays were discharged on or "
        f"after {cut.date().isoformat()}. No patient is in both parts; {apart} stays of patients "
        "with stays on both sides of the date are in neither."
    )
    return _Parts(train, test, sentence)


def _apart(
    data: StudyData, later: BoolArray, keys: npt.NDArray[np.uint64]
) -> tuple[BoolArray, BoolArray]:
    """Train and test of two kinds of stays; who has both kinds goes one way by a coin toss."""
    patients = data.subjects.astype(str)
    straddles = np.isin(patients, np.intersect1d(patients[later], patients[~later]))
    to_test = keys % np.uint64(2) == 0
    return ~later & ~(straddles & to_test), later & ~(straddles & ~to_test)


def _by_site(data: StudyData, keys: npt.NDArray[np.uint64], rules: SplitRules) -> _Parts:
    groups = data.groups()
    sites = groups["site"].to_numpy(dtype=object) if "site" in groups else np.array([None])
    known = np.array([site is not None for site in sites])
    if not known.any():
        raise StudyError(
            "a split by site is asked for, but the records do not say the site of any stay "
            "(Encounter.serviceProvider)"
        )
    names, sizes = np.unique(sites[known].astype(str), return_counts=True)
    if len(names) == 1:
        raise StudyError(f"a split by site is asked for, but every stay is of one site, {names[0]}")
    chosen = _test_sites(names.tolist(), sizes.tolist(), len(data), rules)
    of_known = data.subset(known)
    at_test = np.isin(sites[known].astype(str), chosen)
    train, test = np.zeros(len(data), dtype=np.bool_), np.zeros(len(data), dtype=np.bool_)
    train[known], test[known] = _apart(of_known, at_test, keys[known])
    both = int(known.sum()) - int(train.sum()) - int(test.sum())
    sentence = (
        f"By site: {_counts(data, train, test)}; the test stays are those at "
        f"{', '.join(chosen)}. No patient is in both parts; patients seen at sites of both kinds "
        f"are on one side only, and {both} of their stays are in neither part."
    )
    if unknown := int((~known).sum()):
        sentence += f" {unknown} stays without a recorded site are in neither."
    return _Parts(train, test, sentence)


def _test_sites(names: list[str], sizes: list[int], stays: int, rules: SplitRules) -> list[str]:
    if unknown := sorted(set(rules.test_sites) - set(names)):
        raise StudyError(
            f"no stay is of the test site {', '.join(unknown)}; the sites are {', '.join(names)}"
        )
    if set(rules.test_sites) == set(names):
        raise StudyError("every site is named as a test site: none is left to train on")
    if rules.test_sites:
        return sorted(rules.test_sites)
    return [names[position] for position in _nearest(sizes, rules.test_share * stays)]


def _nearest(sizes: list[int], wanted: float) -> list[int]:
    """Positions of some of these sizes, not all, whose sum comes nearest to what is wanted.

    Every sum that can be reached is, with the size that reached it first (subset sum, exact).
    """
    most = sum(sizes) - min(sizes)
    reached_by = np.full(most + 1, -1, dtype=np.int64)
    reached_by[0] = len(sizes)
    for position, size in enumerate(sizes):
        if size <= most:
            new = (reached_by[: most + 1 - size] >= 0) & (reached_by[size:] < 0)
            reached_by[size:][new] = position
    sums = np.flatnonzero(reached_by >= 0)[1:]
    left = int(sums[np.argmin(np.abs(sums - wanted))])
    chosen = []
    while left:
        chosen.append(int(reached_by[left]))
        left -= sizes[chosen[-1]]
    return sorted(chosen)


@dataclass(frozen=True)
class _Patient:
    rows: npt.NDArray[np.int64]
    readmitted: bool
    key: int


def _patients(data: StudyData, part: BoolArray, keys: npt.NDArray[np.uint64]) -> list[_Patient]:
    rows = np.flatnonzero(part)
    _, inverse = np.unique(data.subjects[rows].astype(str), return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    groups = np.split(rows[order], np.flatnonzero(np.diff(inverse[order])) + 1)
    patients = [_Patient(g, bool(data.outcome[g].any()), int(keys[g[0]])) for g in groups]
    return sorted(patients, key=lambda patient: patient.key)


def _deal(data: StudyData, keys: npt.NDArray[np.uint64], share: float) -> BoolArray:
    """The test stays: their share of those of patients with, and without, a readmission."""
    test = np.zeros(len(data), dtype=np.bool_)
    patients = _patients(data, np.ones(len(data), dtype=np.bool_), keys)
    for readmitted in (True, False):
        stratum = [patient for patient in patients if patient.readmitted is readmitted]
        room = ceil(share * sum(len(patient.rows) for patient in stratum))
        for patient in stratum:
            if len(patient.rows) <= room:
                test[patient.rows] = True
                room -= len(patient.rows)
    return test


def _folds(data: StudyData, train: BoolArray, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int8]:
    """Deal the training patients to folds, each to the fold with the fewest stays so far."""
    folds = np.full(len(data), -1, dtype=np.int8)
    patients = _patients(data, train, keys)
    strata = [[p for p in patients if p.readmitted is readmitted] for readmitted in (True, False)]
    count = min(FOLDS, len(strata[0]), len(strata[1]))
    if count < 2:
        raise StudyError(
            "the readmissions, or the stays without, all belong to one patient: "
            "folds that share no patient cannot be made"
        )
    for stratum in strata:
        held = [0] * count
        for patient in stratum:
            fold = held.index(min(held))
            folds[patient.rows] = fold
            held[fold] += len(patient.rows)
    return folds
