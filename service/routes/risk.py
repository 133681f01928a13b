"""``/risk/{score_id}``: the page of one score, for people; and opening it in an emergency."""

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from fhir_mappings.errors import RiskModelError
from service.body import read_form
from service.identity.access import requires
from service.identity.break_glass import GlassReason, break_glass, parse_glass_request
from service.identity.caller import Caller
from service.identity.sessions import Session
from service.kept_scores import ScoreNotFoundError
from service.pages.errors import prefers_html
from service.pages.framing import let_the_ehr_frame_it
from service.pages.page import TAG, page
from service.patient_page.reading import patient_of, read_page
from service.patient_page.show import RiskPage, risk_page
from service.patient_page.what_if import Asked
from service.serving import Serving, serving

if TYPE_CHECKING:
    from training.risk_model import RiskModel

# Pages are for people; the API's description is for programs, and leaves them out.
router = APIRouter(tags=[TAG], include_in_schema=False)

RISK: Final = "/risk/{score_id}"
BREAK_GLASS: Final = "/risk/{score_id}/break-glass"

REASONS: Final = {
    GlassReason.EMERGENCY_TREATMENT: "I treat the patient in an emergency",
    GlassReason.COVERING_UNIT: "I cover the unit",
    GlassReason.TRANSFER_OF_CARE: "I take the patient over",
    GlassReason.PATIENT_ASKED: "The patient asked me to",
}
"""Why somebody opens a patient's record, in their words."""

ScoreId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


@router.get(RISK)
async def get_risk(
    request: Request,
    caller: Annotated[Caller, requires("RiskAssessment", "r")],
    score_id: ScoreId,
    whatif: Annotated[str | None, Query(max_length=128)] = None,
    value: Annotated[str, Query(max_length=16)] = "",
) -> Response:
    """Read what was kept, enter that it was read, draw the page."""
    here = serving(request)
    let_the_ehr_frame_it(request)
    asked = None if whatif is None else Asked(whatif, value)
    session: Session | None = getattr(request.state, "session", None)
    launch = None if session is None else session.launch

    def made() -> RiskPage:
        contents = read_page(
            here.keeping, caller, score_id, opted_out=here.opt_outs.listed, route=RISK
        )
        return risk_page(
            contents, launch=launch, trusted=here.trusted, model=_model(here), asked=asked
        )

    try:
        shown = await here.compute(made)
    except ScoreNotFoundError:
        if not _may_open(request, caller):
            raise
        return page(
            request,
            "risk_closed.html",
            status=ScoreNotFoundError.status,
            score_id=score_id,
            minutes=here.settings.break_glass_minutes,
            reasons=[(reason.value, words) for reason, words in REASONS.items()],
        )
    refused = shown.risk is not None and bool(shown.risk.what_if.fault)
    return page(request, "risk.html", status=422 if refused else 200, shown=shown)


@router.post(BREAK_GLASS)
async def post_break_glass(
    request: Request, caller: Annotated[Caller, requires("Consent", "c")], score_id: ScoreId
) -> Response:
    """Keep the reason, enter it, open the patient of the score, and show the page."""
    here = serving(request)
    sent = await read_form(request)
    fields = {name: sent.get(name, "") for name in ("reason", "explanation")}
    reason = parse_glass_request(msgspec.json.encode(fields))
    await here.compute(
        lambda: break_glass(
            here.keeping,
            caller,
            patient_of(here.keeping, score_id),
            reason,
            minutes=here.settings.break_glass_minutes,
            route=BREAK_GLASS,
        )
    )
    return RedirectResponse(f"/risk/{score_id}", status_code=303)


def _model(here: Serving) -> "RiskModel | None":
    """The model in use; None where there is none: what was kept can be read all the same."""
    try:
        return here.model
    except RiskModelError:
        return None


def _may_open(request: Request, caller: Caller) -> bool:
    """Whether to tell a person how they may open a patient of another unit.

    It is told of what is not there as well: else it would tell that this is.
    """
    by_browser = prefers_html(request.headers.get("accept", ""))
    return by_browser and not caller.is_system and caller.may("Consent", "c")
