"""SVG of several plots in one page: ids made unique, nothing that runs or that loads, a name.

Matplotlib gives the same ids to every figure, writes metadata that points to the web, and styles
``*``, which inside of a page would style the page. All that is taken out. Elements and attributes
are those of a list; what is not on it is dropped, whoever wrote the file.
"""

import re
import xml.etree.ElementTree as ET
from html import escape

from fhir_mappings.errors import RiskModelError

_ELEMENTS = {
    "svg",
    "g",
    "defs",
    "clipPath",
    "path",
    "rect",
    "circle",
    "ellipse",
    "line",
    "polyline",
    "polygon",
    "text",
    "tspan",
    "use",
    "linearGradient",
    "stop",
    "image",
}
_POINTS_ELSEWHERE = re.compile(r"url\(\s*['\"]?(?!#)|@import|expression\(", re.IGNORECASE)
_LOCAL = re.compile(r"url\(#([^)]+)\)")
_DATA_IMAGE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=\s]+\Z")
"""A dense part of a plot may be drawn as pixels, which then are in the file itself."""


def inline_svg(text: str, key: str, title: str, description: str) -> str:
    """An SVG file as an element of a page.

    Args:
        text: the file.
        key: unique in the page; goes before every id.
        title: what a screen reader says the picture is.
        description: what it shows, in words.

    Raises:
        RiskModelError: if it is not SVG.

    """
    if "<!ENTITY" in text:
        raise RiskModelError(f"plots: {key} declares entities, which a plot does not need")
    try:
        root = ET.fromstring(text)  # noqa: S314 - entities are refused above
    except ET.ParseError as error:
        raise RiskModelError(f"plots: {key} is not SVG: {error}") from None
    if _local(root.tag) != "svg":
        raise RiskModelError(f"plots: {key} is not SVG")
    body = "".join(_element(child, key) for child in root)
    box = escape(root.get("viewBox", "0 0 460.8 331.2"))
    return (
        f'<svg role="img" aria-labelledby="{key}-title {key}-description" viewBox="{box}" '
        f'stroke-linejoin="round" preserveAspectRatio="xMinYMid meet">'
        f'<title id="{key}-title">{escape(title)}</title>'
        f'<desc id="{key}-description">{escape(description)}</desc>{body}</svg>'
    )


def _element(element: ET.Element, key: str) -> str:
    name = _local(element.tag)
    if name not in _ELEMENTS:
        return ""
    attributes = {}
    for attribute, value in element.attrib.items():
        kept = _attribute(_local(attribute), value, key, name)
        if kept is not None:
            attributes[_local(attribute)] = kept
    said = "".join(f' {attribute}="{escape(value)}"' for attribute, value in attributes.items())
    inside = escape(element.text or "") if name in {"text", "tspan"} else ""
    for child in element:
        inside += _element(child, key)
        inside += escape(child.tail or "") if name in {"text", "tspan"} else ""
    return f"<{name}{said}>{inside}</{name}>"


def _attribute(attribute: str, value: str, key: str, element: str) -> str | None:
    """The value to keep; None for what runs, loads or is not of the picture."""
    if attribute.lower().startswith("on") or _POINTS_ELSEWHERE.search(value):
        return None
    if attribute == "id":
        return f"{key}-{value}"
    if attribute == "href":
        if value.startswith("#"):
            return f"#{key}-{value[1:]}"
        return value if element == "image" and _DATA_IMAGE.match(value) else None
    return _LOCAL.sub(rf"url(#{key}-\1)", value)


def _local(name: object) -> str:
    """A name without its namespace; empty for comments and processing instructions."""
    return name.rpartition("}")[2] if isinstance(name, str) else ""
