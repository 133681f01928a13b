"""Rendering: templates that escape every value, in a frame that says that nobody here exists."""

from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse

from service.demo_ehr.ehr import ehr_of
from service.demo_ehr.people import CLINICIAN

_PACKAGE: Final = "service.demo_ehr"


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Answer with a page.

    Args:
        request: what is answered.
        template: the name of a file in ``templates/`` that extends ``base.html``.
        status: of the answer.
        values: what the template shows beside the frame; a name that is not given is an error.

    """
    ehr = ehr_of(request)
    frame = {
        "user": CLINICIAN,
        "path": request.url.path,
        "plan": ehr.plan,
        "subscription": ehr.events.status,
    }
    content = _environment().get_template(template).render(**frame, **values)
    return HTMLResponse(content, status)


@cache
def stylesheet() -> bytes:
    """The stylesheet of all pages."""
    return (files(_PACKAGE) / "style.css").read_bytes()


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader(_PACKAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
