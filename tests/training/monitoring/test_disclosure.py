"""Whatever two issues print, nobody can work out a count, or a change, from 1 to 10.

The reader who tries is a solver of integer programs that knows how the tables are made. Hypothesis
looks for counts by which it succeeds. All counts are made up.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from training.monitoring.disclosure import Cell, Table, known, publishable, reveals, rounded

SMALLEST = 11


SOME = "outcome"
"""The table of only some of the stays: those whose outcome is known."""


def tables_of(counts: dict[str, list[int]]) -> list[Table]:
    return [
        rounded(
            name,
            "followed" if name == SOME else "scored",
            {f"group {i}": count for i, count in enumerate(each)},
            SMALLEST,
            "scored" if name == SOME else "",
        )
        for name, each in counts.items()
    ]


class Reader:
    """Knows of two issues what is printed, and that the tables of each are of the same stays."""

    def __init__(self, *issues: tuple[Table, ...]) -> None:
        self.places: dict[tuple[int, str, str], int] = {}
        low, rows, fewer = [], [], []
        for number, issue in enumerate(issues):
            for table in issue:
                for cell in table.cells:
                    self.places[number, table.name, cell.name] = len(low)
                    low.append(cell.at_least)
        for number, issue in enumerate(issues):
            printed = [table.name for table in issue if table.cells]
            for other in printed[1:]:
                row = np.zeros(len(low))
                for (where, name, _), place in self.places.items():
                    if where == number and name in (printed[0], other):
                        row[place] = 1 if name == printed[0] else -1
                (fewer if other == SOME else rows).append(row)
        self.bounds = Bounds(np.array(low), np.array(low) + SMALLEST - 1)
        self.rules = [LinearConstraint(np.array(rows), 0, 0)] if rows else []
        if fewer:
            self.rules.append(LinearConstraint(np.array(fewer), 0, np.inf))

    def works_out(self, what: np.ndarray) -> tuple[int, int]:
        """The least and the most that a sum or difference of counts can be."""
        ends = []
        for sign in (1, -1):
            solved = milp(
                sign * what,
                integrality=np.ones(len(what)),
                bounds=self.bounds,
                constraints=self.rules,
            )
            assert solved.success
            ends.append(round(sign * solved.fun))
        return ends[0], ends[1]

    def everything(self) -> Iterator[np.ndarray]:
        """Each count, each table but one count, each total; and the changes between the issues."""
        single: list[dict[tuple[str, str], np.ndarray]] = [{}, {}]
        for (number, table, cell), place in self.places.items():
            row = np.zeros(len(self.places))
            row[place] = 1
            single[number][table, cell] = row
        for of_issue in single:
            names = {name for name, _ in of_issue}
            for table in names:
                whole = sum(row for (name, _), row in of_issue.items() if name == table)
                rest = {
                    (table, f"not {cell}"): whole - row
                    for (name, cell), row in of_issue.items()
                    if name == table
                }
                of_issue.update({(f"{table}, all", ""): whole, **rest})
            if SOME in names and "a" in names:
                of_issue["not known", ""] = of_issue["a, all", ""] - of_issue[f"{SOME}, all", ""]
        yield from (row for of_issue in single for row in of_issue.values() if row.any())
        for key in single[0].keys() & single[1].keys():
            if (change := single[1][key] - single[0][key]).any():
                yield change


small_or_large = st.integers(0, 14) | st.integers(0, 70)


@st.composite
def counts_of_the_same_stays(draw) -> dict[str, list[int]]:
    """Two or three attributes of a few groups each, all with the same total."""
    first = draw(st.lists(small_or_large, min_size=1, max_size=4))
    total, counts = sum(first), {"a": first}
    for name in draw(st.sampled_from([("b",), ("b", "c")])):
        cuts = sorted(draw(st.lists(st.integers(0, total), min_size=0, max_size=3)))
        ends = [0, *cuts, total]
        counts[name] = [end - start for start, end in pairwise(ends)]
    if draw(st.booleans()):
        known_outcomes = max(0, total - draw(small_or_large))
        readmitted = draw(st.integers(0, known_outcomes))
        counts[SOME] = [readmitted, known_outcomes - readmitted]
    return counts


@st.composite
def two_issues(draw) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """The second has other stays, or those of the first and a few more."""
    first = draw(counts_of_the_same_stays())
    if draw(st.booleans()):
        return first, draw(counts_of_the_same_stays())
    more = draw(st.integers(0, 12))
    return first, {
        name: [count + (more if i == 0 else 0) for i, count in enumerate(counts)]
        for name, counts in first.items()
    }


@settings(max_examples=30, deadline=None)
@given(two_issues())
def test_no_count_and_no_change_from_1_to_10_can_be_worked_out(counts):
    before = publishable(tables_of(counts[0]), [], SMALLEST)
    after = publishable(tables_of(counts[1]), [before], SMALLEST)
    if not any(table.cells for table in (*before, *after)):
        return
    reader = Reader(before, after)
    for what in reader.everything():
        low, high = reader.works_out(what)
        assert not (low >= 1 and high <= 10), (counts, what)
        assert not (low >= -10 and high <= -1), (counts, what)


@settings(max_examples=40, deadline=None)
@given(counts_of_the_same_stays())
def test_the_bounds_that_we_work_out_are_those_that_a_solver_does(counts):
    tables = tuple(tables_of(counts))
    reader, bounds = Reader(tables), known(tables, SMALLEST)
    for table in tables:
        for cell in table.cells:
            row = np.zeros(len(reader.places))
            row[reader.places[0, table.name, cell.name]] = 1
            assert bounds[table.population, table.name, cell.name] == reader.works_out(row)


@settings(max_examples=60, deadline=None)
@given(two_issues())
def test_the_truth_lies_within_what_is_printed(counts):
    for each in counts:
        for table, truth in zip(tables_of(each), each.values(), strict=True):
            for cell, count in zip(table.cells, truth, strict=True):
                assert cell.at_least <= count < cell.at_least + SMALLEST
                assert cell.at_least == 0 or count >= SMALLEST


def test_a_total_less_the_other_cells_gives_back_what_is_printed():
    (table,) = tables_of({"a": [4, 37, 120]})
    assert [cell.at_least for cell in table.cells] == [0, 33, 110]
    assert table.at_least - 33 - 110 == 0


def test_a_table_whose_total_betrays_its_small_cells_is_held_back():
    """30 stays, all of one group; in the other table ten in each, which the total would tell."""
    one, three = tables_of({"sex": [30], "language": [10, 10, 10]})
    assert reveals(known([one, three], SMALLEST)["scored", "language", "group 0"], SMALLEST)
    kept = publishable([one, three], [], SMALLEST)
    assert kept[0].cells == one.cells
    assert kept[1].cells == ()


@pytest.mark.parametrize(
    ("bounds", "revealing"),
    [
        ((1, 10), True),
        ((4, 4), True),
        ((-3, -1), True),
        ((0, 10), False),
        ((1, 11), False),
        ((0, 0), False),
        ((-10, 10), False),
        ((-11, -1), False),
    ],
)
def test_what_counts_as_revealing(bounds, revealing):
    assert reveals(bounds, SMALLEST) is revealing


def test_a_table_by_which_a_change_would_be_known_is_held_back_in_the_new_issue():
    """The total was 110 exactly; now it is 111 to 120: 1 to 10 stays have come."""
    before = [single("a", 110), Table("b", "scored", tuple(Cell(f"{i}", 0) for i in range(11)))]
    assert known(before, SMALLEST)["scored", "", ""] == (110, 110)
    now = [single("a", 110), Table("c", "scored", tuple(Cell(f"{i}", 111) for i in range(1)))]
    assert known(now, SMALLEST)["scored", "", ""] == (111, 120)
    after = publishable(now, [before], SMALLEST)
    assert [bool(table.cells) for table in after] == [True, False]
    assert publishable(now, [], SMALLEST) == tuple(now)


def single(name: str, at_least: int) -> Table:
    return Table(name, "scored", (Cell("all", at_least),))
