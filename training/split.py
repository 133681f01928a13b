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
from training.study_data import BoolArray, StudyData

TEST_SHARE = 0.2
"""The share of stays that is kept for the test."""
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


def split_stays(data: StudyData, *, seed: int) -> Split:
    """Split by time where times compare across patients, otherwise by patient.

    By time: a date is chosen that a fifth of the stays are discharged on or after. Patients with
    all stays on one side belong to that side. A patient with stays on both sides goes, by a coin
    toss that depends only on the seed and the patient's id, to train with the stays before the
    date or to test with the stays after it; the other stays are in no part. Sending all of them to
    one side instead would strip the other of its frequent returners.

    By patient: patients with and without a readmission are dealt separately, in an order that
    depends only on the seed and the id, until the test part has its share of stays.

    Raises:
        StudyError: if either part would hold too few readmissions or too few stays without.
    """
    outcomes = int(data.outcome.sum())
    if outcomes in (0, len(data)):
        which = "no stay" if outcomes == 0 else "every stay"
        raise StudyError(f"nothing to learn: {which} of {len(data)} was followed by a readmission")
    keys = _keys(data.subjects, seed)
    reason = "because this site's dates are shifted for each patient"
    if data.calendar:
        train, test, when = _by_time(data, keys)
        if _shortage(data.outcome, train, test) is None:
            apart = len(data) - int(train.sum()) - int(test.sum())
            sentence = (
                f"By time: {_counts(data, train, test)}; the test stays were discharged on or "
                f"after {when}. No patient is in both parts; {apart} stays of patients with stays "
                "on both sides of the date are in neither."
            )
            return Split(train, test, _folds(data, train, keys), sentence)
        reason = "because a split by time would leave too few readmissions in one part"
    test = _deal(data, keys)
    train = ~test
    if shortage := _shortage(data.outcome, train, test):
        raise StudyError(
            f"too few patients to train and test on ({len(data)} stays, {outcomes} readmissions): "
            f"{shortage}"
        )
    sentence = f"By patient, {reason}: {_counts(data, train, test)}. No patient is in both parts."
    return Split(train, test, _folds(data, train, keys), sentence)


def _counts(data: StudyData, train: BoolArray, test: BoolArray) -> str:
    return (
        f"{int(train.sum())} stays with {int(data.outcome[train].sum())} readmissions to train on, "
        f"{int(test.sum())} with {int(data.outcome[test].sum())} to test on"
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


def _by_time(data: StudyData, keys: npt.NDArray[np.uint64]) -> tuple[BoolArray, BoolArray, str]:
    discharged = data.stays["discharged"].reset_index(drop=True)
    cut = discharged.sort_values().iloc[int(len(data) * (1 - TEST_SHARE))].normalize()
    after = (discharged >= cut).to_numpy()
    patients = data.subjects.astype(str)
    straddles = np.isin(patients, np.intersect1d(patients[after], patients[~after]))
    to_test = keys % np.uint64(2) == 0
    train = ~after & ~(straddles & to_test)
    test = after & ~(straddles & ~to_test)
    return train, test, cut.date().isoformat()


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


def _deal(data: StudyData, keys: npt.NDArray[np.uint64]) -> BoolArray:
    """The test stays: a fifth of those of patients with, and of those without, a readmission."""
    test = np.zeros(len(data), dtype=np.bool_)
    patients = _patients(data, np.ones(len(data), dtype=np.bool_), keys)
    for readmitted in (True, False):
        stratum = [patient for patient in patients if patient.readmitted is readmitted]
        room = ceil(TEST_SHARE * sum(len(patient.rows) for patient in stratum))
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
