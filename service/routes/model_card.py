"""``GET /model-card``: the model in use, for the public."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from service.identity.access import open_to_all
from service.pages.page import TAG, page
from service.public_card import public_card
from service.serving import serving

# Pages are for people; the API's description is for programs, and leaves them out.
router = APIRouter(tags=[TAG], include_in_schema=False)


@router.get("/model-card")
async def get_model_card(
    request: Request,
    _: Annotated[
        None,
        open_to_all("Whoever is scored may know by what; it says nothing of a single patient."),
    ],
) -> Response:
    """Describe the model that is loaded, in plain words."""
    here = serving(request)
    return page(request, "model_card.html", card=public_card(here.model))
