"""From a store to a trained model: cohort, matrix, and the model in use beside it."""

from pathlib import Path

from fhir_mappings.profiles import SiteProfile
from fhir_mappings.store import Store
from training.dataset import Progress as Reading
from training.fitted import Progress
from training.study import Study
from training.train import TrainingResult


def experiment(
    store: Store,
    profile: SiteProfile,
    mlruns: Path,
    study: Study,
    *,
    tune: int = 0,
    cohort_file: Path | None = None,
    reading: Reading | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Run a study on a store and register what comes of it.

    Args:
        store: the events.
        profile: how the site codes.
        mlruns: the folder of MLflow.
        study: every choice.
        tune: how many settings of the trees to try.
        cohort_file: a CSV with ``encounter_id,label`` that takes the cohort rules' place.
        reading: told of each shard.
        progress: told of each phase of training.

    Raises:
        StudyError: if the data cannot be split or hold one outcome only.
        SiteProfileError: if the profile is plainly not that of the store.
    """
