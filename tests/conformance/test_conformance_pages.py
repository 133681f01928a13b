"""The pages of ``docs/conformance`` say what the suites found, of every statement and no other."""

import re

import pytest
from conformance_pages import (
    FAILS,
    HOLDS,
    NOT_APPLICABLE,
    PAGES,
    SHAPES,
    SPECIFICATIONS,
    Specification,
    claimed,
    statements,
)

from service import VERSION

each_page = pytest.mark.parametrize("specification", SPECIFICATIONS, ids=lambda one: one.page)


@each_page
def test_a_page_has_every_statement_and_no_other(specification: Specification) -> None:
    said = [
        (statement.section, statement.words, f"`{statement.test}`")
        for statement in statements(specification)
    ]
    assert list(claimed(specification)) == said, "run `make conformance`"


@each_page
def test_every_statement_has_a_result_as_each_ehr_and_none_fails(
    specification: Specification,
) -> None:
    for statement, results in claimed(specification).items():
        assert len(results) == len(SHAPES), statement
        for result in results:
            word, _, reason = result.partition(": ")
            assert word != FAILS, statement
            assert (word, bool(reason)) in ((HOLDS, False), (NOT_APPLICABLE, True)), statement


@each_page
def test_a_page_says_which_versions_it_is_about(specification: Specification) -> None:
    text = (PAGES / f"{specification.page}.md").read_text(encoding="utf-8")
    assert f"readmit {VERSION}, held to {specification.versions}." in text


def test_there_is_a_page_for_every_suite_and_no_other() -> None:
    suites = {file.name for file in PAGES.parents[1].glob("tests/conformance/test_*_statements.py")}
    assert suites == {name for one in SPECIFICATIONS for name in one.tests}
    assert {file.stem for file in PAGES.glob("*.md")} == {one.page for one in SPECIFICATIONS}


def test_every_page_is_in_the_table_of_contents() -> None:
    contents = (PAGES.parent / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\(conformance/([a-z-]+)\.md\)", contents))
    assert linked == {one.page for one in SPECIFICATIONS}
