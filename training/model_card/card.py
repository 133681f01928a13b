"""The model card: three lists of questions, what the run and people answer, and what is missing."""

from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from training.model_card.answers import RUN_ANSWERS
from training.model_card.facts import ModelCardFacts
from training.report.artifacts import RunArtifacts

FORMAT: Literal[1] = 1
"""The layout of the JSON; the schema in ``model-card.schema.json`` is of this one."""
Framework = Literal["hti1", "chai", "tripod"]
FRAMEWORKS: dict[Framework, str] = {
    "hti1": "HTI-1 source attributes, 45 CFR 170.315(b)(11)(iv)(B)",
    "chai": "CHAI Applied Model Card",
    "tripod": "TRIPOD+AI, doi:10.1136/bmj-2023-078378",
}
Status = Literal["answered", "partly", "missing"]


class Attribute(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A question of a framework, and who answers it."""

    number: str
    group: str
    name: str
    where: str = ""
    """Where the answer stands at length, for TRIPOD+AI."""
    run: tuple[str, ...] = ()
    """Names in ``RUN_ANSWERS``, all of them wanted."""
    people: tuple[str, ...] = ()
    """Places in ``model-card.toml``, all of them wanted."""
    also: tuple[str, ...] = ()
    """Places that add to the answer where they are given."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A question of a framework with its answer."""

    number: str
    group: str
    name: str
    status: Status
    answer: tuple[str, ...]
    """Paragraphs; empty where nobody knows."""
    wanted: tuple[str, ...]
    """What would complete it: places in ``model-card.toml``, or findings that the run lacks."""
    where: str


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A question without an answer, or with half of one."""

    framework: Framework
    number: str
    name: str
    wanted: tuple[str, ...]


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A model card. The same run and the same facts give the same card."""

    format: Literal[1]
    model: str
    simulated: bool
    """Whether every figure is of simulated records."""
    notice: str
    model_sha256: str
    study_sha256: str
    data_fingerprint: str
    missing: tuple[Missing, ...]
    hti1: tuple[Answer, ...]
    chai: tuple[Answer, ...]
    tripod: tuple[Answer, ...]


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    attribute: list[Attribute]


@cache
def attributes(framework: Framework) -> tuple[Attribute, ...]:
    """The questions of a framework, in its order."""
    path = files("training.model_card") / "attributes" / f"{framework}.toml"
    table = msgspec.toml.decode(path.read_text(encoding="utf-8"), type=_Table)
    return tuple(table.attribute)


def model_card(run: RunArtifacts, people: ModelCardFacts) -> Card:
    """Fill in what the run and people know, and list what is missing.

    Args:
        run: the artifacts of the model's run.
        people: what only people know.

    """
    answers: dict[Framework, tuple[Answer, ...]] = {
        framework: tuple(_answered(each, run, people) for each in attributes(framework))
        for framework in FRAMEWORKS
    }
    return Card(
        format=FORMAT,
        model=run.facts.study_name,
        simulated=run.simulated,
        notice=_notice(run),
        model_sha256=run.model_sha256,
        study_sha256=run.facts.study_sha256,
        data_fingerprint=run.facts.data_fingerprint,
        missing=tuple(
            Missing(framework=framework, number=each.number, name=each.name, wanted=each.wanted)
            for framework, found in answers.items()
            for each in found
            if each.status != "answered"
        ),
        hti1=answers["hti1"],
        chai=answers["chai"],
        tripod=answers["tripod"],
    )


def _answered(attribute: Attribute, run: RunArtifacts, people: ModelCardFacts) -> Answer:
    paragraphs: list[str] = []
    wanted: list[str] = []
    for name in attribute.run:
        found = RUN_ANSWERS[name](run)
        paragraphs += found
        if not found:
            wanted.append(f"the run: {name.replace('_', ' ')}")
    for place in attribute.people:
        said = people.said(place)
        if said:
            paragraphs.append(said)
        else:
            wanted.append(place)
    paragraphs += [said for place in attribute.also if (said := people.said(place))]
    status: Status = "answered" if not wanted else "partly" if paragraphs else "missing"
    if not attribute.run and not attribute.people and not paragraphs:
        status, wanted = "missing", list(attribute.also)
    return Answer(
        number=attribute.number,
        group=attribute.group,
        name=attribute.name,
        status=status,
        answer=tuple(paragraphs),
        wanted=tuple(wanted),
        where=attribute.where,
    )


def _notice(run: RunArtifacts) -> str:
    notice = (
        "Made from the run of the model and from what people wrote. The lists are public; whether "
        "any of them is required of anybody is not for this card to say, and HTI-1's is under "
        "revision. What is missing is listed as missing."
    )
    if run.simulated:
        return f"Simulated records: every figure is of patients that do not exist. {notice}"
    return notice
