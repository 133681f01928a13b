"""Pages of one look: templates that escape every value, with the style in the page itself."""

import re
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup, escape

from training.words import attribute_name, count, listed, number, percent

_HOME = "training.report"
_DOI = re.compile(r"doi:(10\.\d{4,9}/[^\s;,()<>&\"']*[^\s;,()<>&\"'.])")


def page(template: str, package: str = _HOME, **values: Any) -> str:
    """Render a template.

    Args:
        template: the name of its file in ``templates/``.
        package: whose it is; the base page and the macros of the report are known to all.
        values: what it shows; a name that is not given is an error.

    """
    return _environment(package).get_template(template).render(**values)


def linked(text: str) -> Markup:
    """Text for a page, in which every DOI leads to its publication."""
    told = str(escape(text))
    # Escaped above; a DOI holds nothing that could end an attribute.
    return Markup(_DOI.sub(r'<a href="https://doi.org/\1">doi:\1</a>', told))  # noqa: S704


@cache
def _environment(package: str) -> jinja2.Environment:
    loaders = [jinja2.PackageLoader(name) for name in dict.fromkeys((package, _HOME))]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (files(_HOME) / "templates" / "style.css").read_text(encoding="utf-8")
    # Our own file, not a value: escaped, its quotes and > would not be CSS.
    environment.globals["style"] = Markup(style)  # noqa: S704
    environment.filters.update(
        count=count,
        number=number,
        percent=percent,
        listed=listed,
        attribute=attribute_name,
        linked=linked,
    )
    return environment
