"""Pages that an EHR may show within its own: the patient's page, and the way to it."""

from typing import Final

from fastapi import Request

from service.serving import serving
from service.surroundings.headers import declare_policy

WITHIN_AN_EHR: Final = ("/risk/", "/launch")
"""The paths that an EHR opens in a frame. What goes wrong on the way is shown there, too: a frame
that stays blank would say nothing."""


def let_the_ehr_frame_it(request: Request) -> None:
    """Let pages of the EHRs that the operator lists show this one within them, and nobody else."""
    origins = serving(request).settings.frame_ancestors
    if origins and request.scope["path"].startswith(WITHIN_AN_EHR):
        declare_policy(request, {"frame-ancestors": " ".join(origins)})
