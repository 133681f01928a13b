"""The explanation of a model as a whole, as the run's findings hold it."""

from training.explanation.importance import Contributions, contributions, families, strongest
from training.explanation.stability import stability
from training.findings import Explanation
from training.fit import Fit, FitSettings
from training.risk_model import RiskModel
from training.split import Split
from training.study_data import StudyData


def explain_model(
    model: RiskModel,
    data: StudyData,
    split: Split,
    fit: Fit,
    *,
    refits: int,
    seed: int,
    settings: FitSettings | None = None,
) -> tuple[Explanation, Contributions]:
    """What moves a model's risks on the test stays, and how steadily so.

    Args:
        model: the model as it was saved.
        data: the stays in canonical order (``StudyData.ordered``).
        split: their parts.
        fit: the model's fit, for its features and the number of its trees.
        refits: on resampled training patients.
        seed: of the draws.
        settings: of the trees.

    Returns:
        The finding, and the contributions that ``shap_plots`` draws.
    """
    explained = contributions(model, data.subset(split.test))
    steadiness = stability(
        data.subset(split.train), fit, explained, refits=refits, seed=seed, settings=settings
    )
    return Explanation(strongest(explained), families(explained), steadiness), explained
