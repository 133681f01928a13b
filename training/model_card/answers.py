"""The answers that a run gives, by the names that the tables of attributes use."""

from collections.abc import Callable

from training.model_card import method, results
from training.model_card.method import Paragraphs
from training.report.artifacts import RunArtifacts

RunAnswer = Callable[[RunArtifacts], Paragraphs]

RUN_ANSWERS: dict[str, RunAnswer] = {
    answer.__name__: answer
    for answer in (
        method.bibliography,
        method.building,
        method.class_imbalance,
        method.cluster_method,
        method.criteria,
        method.data_types,
        method.dates,
        method.development_data,
        method.fairness_approach,
        method.foundation_models,
        method.input_in_use,
        method.input_source,
        method.interfaces,
        method.keywords,
        method.missing_data,
        method.model_name,
        method.model_type,
        method.monitoring_rules,
        method.out_of_scope,
        method.outcome,
        method.outcome_assessment,
        method.output_type,
        method.output_value,
        method.population,
        method.prediction,
        method.predictor_assessment,
        method.predictor_definitions,
        method.predictor_handling,
        method.predictors,
        method.preparation,
        method.recalibration,
        method.representativeness,
        method.sample_size,
        method.security,
        method.sensitive_inputs,
        method.specification,
        method.split,
        method.study_file,
        method.summary,
        method.transparency,
        method.version,
        results.cluster_results,
        results.fairness_goal,
        results.flow,
        results.limitations,
        results.safety_goal,
        results.safety_meaning,
        results.safety_results,
        results.test_fairness,
        results.test_type,
        results.test_validity,
        results.testing_data,
        results.uncertain_groups,
        results.updating_results,
        results.usefulness_goal,
        results.usefulness_meaning,
        results.usefulness_results,
        results.validation_process,
    )
}
