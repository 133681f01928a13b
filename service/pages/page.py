"""Rendering: templates that escape every value, in a frame that says who is signed in."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from service.cards.wording import percent
from service.identity.caller import Caller
from service.identity.csrf import FIELD, token_of
from service.identity.sessions import Session
from service.pages.framing import within_a_frame
from service.pages.words import capitalised, points, readable, role_names, signed
from service.serving import serving

TAG: Final = "pages"
"""What routes that answer with a page are tagged with; their errors are pages too."""

SIMULATED: Final = "simulated"
"""The site profile of the simulated hospital."""

_PACKAGE: Final = "service.pages"
_IN_A_TAB: Final = Markup(' target="_blank" rel="noopener"')
"""Of a link, in a frame, to a page that may not be shown in one."""


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Answer with a page.

    Args:
        request: what is answered; the caller that it was identified as is named on the page.
        template: the name of a file in ``templates/`` that extends ``base.html``.
        status: of the answer.
        values: what the template shows beside the frame; a name that is not given is an error.
    """
    rendered = _environment().get_template(template).render(**_frame(request), **values)
    return HTMLResponse(rendered, status_code=status)


@cache
def stylesheet() -> tuple[str, bytes]:
    """The path and the content of the stylesheet. The path changes when the content does."""
    content = (files(_PACKAGE) / "style.css").read_bytes()
    return f"/assets/style-{hashlib.sha256(content).hexdigest()[:16]}.css", content


def _frame(request: Request) -> dict[str, Any]:
    """What every page shows."""
    here = serving(request)
    session: Session | None = getattr(request.state, "session", None)
    known = None if session is None else session.caller
    caller: Caller | None = getattr(request.state, "caller", known)
    return {
        "stylesheet": stylesheet()[0],
        "development": here.settings.development,
        # Figures of a simulated hospital are called so wherever they appear.
        "simulated": here.profile.name == SIMULATED,
        "caller": caller,
        "csrf_token": None if session is None else token_of(here.keeping.keys, session.id),
        "csrf_field": FIELD,
        "elsewhere": _IN_A_TAB if within_a_frame(request) else "",
    }


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(_PACKAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for one in (capitalised, percent, points, readable, role_names, signed):
        environment.filters[one.__name__] = one
    return environment
