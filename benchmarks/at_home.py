"""A model of the simulated hospital, and its test patients on a day after their discharge."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xgboost

from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import load_profile
from fhir_mappings.pseudonyms import Pseudonyms
from fhir_mappings.store import open_store
from training.cohort.selection import CohortRules
from training.dataset import study_data
from training.fitted import Fitted, fit_study
from training.return_curve import ReturnCurve
from training.return_times import LEAVING, RETURN, return_curve
from training.simulated_hospital import simulate
from training.study import SplitRules, Study
from training.study_data import BoolArray, FloatArray, StudyData
from training.study_records import study_records
from training.vocabulary import VocabularyRules

HOSPITAL_SEED = 7
STUDY = Study(split=SplitRules(by="patient", test_share=0.4))
"""By patient, and two fifths of them for the test: few readmissions are left after day 21, and what
is asked here is whether risks age well, not how good they can get."""


class JudgedStays(NamedTuple):
    """Stays of patients whom the model has not seen; times are days."""

    stays: StudyData
    risk: FloatArray
    true_risk: FloatArray
    """The observable risk that the simulation drew from: the best that records can say."""
    discharged: FloatArray
    back: FloatArray
    """Days to the readmission; NaN without one."""
    left: FloatArray
    """Days to the death or planned return; NaN without one."""
    curve: ReturnCurve
    """Of the training stays."""

    def at_home(self, days: FloatArray | float) -> BoolArray:
        """Whether each patient is alive and not back so many days after the discharge."""
        return ~(self.back <= days) & ~(self.left <= days)


def simulated_test_stays(folder: Path, patients: int) -> JudgedStays:
    """Simulate, read, fit, and predict the stays of the test."""
    records, store = folder / "records", folder / "store"
    profile = load_profile("simulated")
    simulate(records, patients, HOSPITAL_SEED)
    ingest([records], store, profile)
    with open_store(store) as opened:
        data = study_data(opened, profile, CohortRules(), vocabulary=VocabularyRules())
        truth = observable_risk(records, study_records(opened, profile).pseudonyms)
    return judged(fit_study(data, STUDY, folder / "searches"), truth)


def judged(fitted: Fitted, truth: dict[str, float]) -> JudgedStays:
    """The test stays of a fitted study.

    Args:
        fitted: the study.
        truth: the observable risk by encounter.
    """
    curve = return_curve(fitted.learning, resamples=1_000, seed=STUDY.seed)
    assert curve is not None
    stays = fitted.judged
    margin = fitted.fit.booster.predict(xgboost.DMatrix(stays.values), output_margin=True)
    moments = stays.stays["discharged"].dt.tz_localize(None).to_numpy("datetime64[us]")
    return JudgedStays(
        stays=stays,
        risk=fitted.platt.probability(margin.astype(np.float64)),
        true_risk=np.array([truth[name] for name in stays.stays["encounter_id"]]),
        discharged=(moments - np.datetime64(0, "us")) / np.timedelta64(1, "D"),
        back=stays.stays[RETURN].to_numpy(dtype=np.float64),
        left=stays.stays[LEAVING].to_numpy(dtype=np.float64),
        curve=curve,
    )


def observable_risk(records: Path, pseudonyms: Pseudonyms) -> dict[str, float]:
    """The truth by the name that the study gives to an encounter."""
    with (records / "truth" / "truth.csv").open(encoding="utf-8", newline="") as file:
        return {
            pseudonyms.of("Encounter", line["encounter_id"]): float(line["observable_risk"])
            for line in csv.DictReader(file)
            if line["observable_risk"]
        }
