"""``GET /v1/model``: what speaks, what it was made for, and what it looks at."""

from typing import TYPE_CHECKING, Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from service import examples
from service.identity.access import requires
from service.identity.caller import Caller
from service.openapi import json_answer, problems
from service.score import ModelIdentity
from service.serving import serving

if TYPE_CHECKING:
    from training.risk_model import Interval, RiskModel

router = APIRouter(tags=["model"])


class InputDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One input of the model, and why it is one."""

    name: str
    family: str
    description: str
    unit: Annotated[str | None, Meta(description="UCUM.")]
    direction: Annotated[
        str, Meta(description="What a higher value may do to the risk: a constraint of the model.")
    ]
    changeable: Annotated[bool, Meta(description="Whether a care team can act on it.")]
    rationale: str
    reference: Annotated[str, Meta(description="Source of the rationale.")]
    used: Annotated[
        bool, Meta(description="Whether the trees ask for it; else it never contributes.")
    ]


class Estimate(msgspec.Struct, frozen=True):
    """A measure on stays that the model had not seen, with its 95 % interval."""

    value: float | None
    low: float | None
    high: float | None


class ModelDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The risk model that the service speaks for."""

    model: ModelIdentity
    fingerprint: Annotated[str, Meta(description="SHA-256 of the manifest of all its files.")]
    intended_population: str
    outcome: str
    horizon_days: Annotated[int, Meta(description="Days after discharge that the risk covers.")]
    profile: Annotated[str, Meta(description="The site profile of the records it learned from.")]
    serving_profile: Annotated[str, Meta(description="The site profile that requests are read by.")]
    reference_risk: Annotated[
        float, Meta(description="Share of the training stays that were followed by a readmission.")
    ]
    low_below: Annotated[float, Meta(description="Risks below are in the band `low`.")]
    high_from: Annotated[float, Meta(description="Risks from here on are in the band `high`.")]
    test: Annotated[dict[str, Estimate], Meta(description="Measures on the test stays.")]
    baselines: Annotated[
        dict[str, dict[str, Estimate]],
        Meta(description="The same measures of published scores on the same stays."),
    ]
    inputs: tuple[InputDescription, ...]


_EXAMPLE = ModelDescription(
    model=examples.IDENTITY,
    fingerprint="0" * 64,
    intended_population="Adults discharged alive from an acute hospital.",
    outcome="Unplanned inpatient admission within 30 days of discharge.",
    horizon_days=30,
    profile="default",
    serving_profile="default",
    reference_risk=0.125,
    low_below=0.125,
    high_from=0.25,
    test={"auroc": Estimate(0.7, 0.67, 0.73)},
    baselines={"LACE": {"auroc": Estimate(0.65, 0.62, 0.68)}},
    inputs=(
        InputDescription(
            name="sodium_latest",
            family="labs_and_vitals",
            description="Last sodium of the stay.",
            unit="mmol/L",
            direction="either",
            changeable=True,
            rationale="A low sodium at discharge marks heart failure, liver disease or unfinished "
            "treatment.",
            reference="doi:10.1001/jamainternmed.2013.3023",
            used=True,
        ),
    ),
)


@router.get(
    "/v1/model",
    summary="Describe the risk model",
    description="Says which model answers, what it was made for, how it did on stays that it had "
    "not seen, and every input with its clinical rationale.",
    responses={
        200: json_answer(ModelDescription, "The model.", _EXAMPLE),
        **problems(401, 403, 503),
    },
)
async def get_model(
    request: Request, _: Annotated[Caller, requires("DocumentReference", "r")]
) -> Response:
    """Describe the model that is loaded."""
    here = serving(request)
    described = _description(here.model, here.profile.name)
    return Response(msgspec.json.encode(described), media_type="application/json")


def _description(model: "RiskModel", serving_profile: str) -> ModelDescription:
    reference = model.reference
    return ModelDescription(
        model=ModelIdentity(model.name, model.version, model.run_id),
        fingerprint=model.fingerprint,
        intended_population=reference.intended_population,
        outcome=reference.outcome,
        horizon_days=model.horizon_days,
        profile=reference.profile,
        serving_profile=serving_profile,
        reference_risk=reference.prevalence,
        low_below=reference.low_below,
        high_from=reference.high_from,
        test=_estimates(reference.test),
        baselines={name: _estimates(found) for name, found in reference.baselines.items()},
        inputs=tuple(
            InputDescription(
                name=feature.name,
                family=feature.family,
                description=feature.description,
                unit=feature.unit,
                direction=feature.direction,
                changeable=feature.changeable,
                rationale=feature.rationale,
                reference=feature.reference,
                used=found.used,
            )
            for feature, found in zip(model.features, reference.features, strict=True)
        ),
    )


def _estimates(intervals: "dict[str, Interval]") -> dict[str, Estimate]:
    return {
        name: Estimate(interval.value, interval.low, interval.high)
        for name, interval in intervals.items()
    }
