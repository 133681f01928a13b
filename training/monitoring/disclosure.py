"""Counts that may be published, and that stay private beside each other and beside earlier issues.

The rule, for a smallest cell of 11:

1. Every count is published as the multiple of 11 at or below it: 37 as "33 to 43", whatever is
   under 11 as "under 11". Nobody learns more of a count than eleven values that it may have.
2. A total is published as the sum of its published cells and nothing else. This takes the place of
   complementary suppression: a total less the other cells gives back what is printed in the hidden
   cell, not what it holds.
3. Tables of the same stays (by sex, by age) have the same unknown total, and a table of some of
   them (those whose outcome is known) has no larger one. That can narrow what each cell may be.
   The narrowed bounds are worked out, exactly, as a reader would. Where they leave a
   count, or all of a table but one cell, only values from 1 to 10, that table is held back.
4. The same with every earlier issue: where the difference between a count and the same count of an
   earlier issue could only be 1 to 10 up or down, the table is held back in the new issue. By
   rule 1 a printed difference is a multiple of 11 and may be ten off either way, so that this is
   rare; it is checked all the same.

The rule speaks of any two issues, not of what outsiders know of single patients beside them.
Rounding every count instead of hiding some is the controlled form of disclosure control for tables
that are published again and again (Hundepool 2012, Statistical Disclosure Control,
doi:10.1002/9781118348239).
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec


class Cell(msgspec.Struct, frozen=True):
    """A count as it is published."""

    name: str
    at_least: int
    """The multiple of the smallest cell at or below the count; 0 for a count that is hidden."""


class Table(msgspec.Struct, frozen=True):
    """Stays by an attribute; every stay is in exactly one cell."""

    name: str
    population: str
    """Which stays: tables of the same population have the same total."""
    cells: tuple[Cell, ...]
    """Empty where the table is held back."""
    within: str = ""
    """The population that all these stays are of as well, where there is one."""

    @property
    def at_least(self) -> int:
        """The total, as the sum of what is published."""
        return sum(cell.at_least for cell in self.cells)


Bounds = tuple[int, int]
"""The least and the most that a count may be."""
Key = tuple[str, str, str]
"""Population, table and cell; without cell, and table, of a total."""


def rounded(
    name: str, population: str, counts: Mapping[str, int], smallest: int, within: str = ""
) -> Table:
    """A table as it would be published, were there no other."""
    cells = tuple(Cell(cell, count // smallest * smallest) for cell, count in counts.items())
    return Table(name, population, cells, within)


def publishable(
    tables: Sequence[Table], earlier: Sequence[Sequence[Table]], smallest: int
) -> tuple[Table, ...]:
    """The tables of a new issue, without the cells of those that have to be held back.

    Args:
        tables: rounded, in the order of their weight: the last is held back first.
        earlier: the tables of each issue before.
        smallest: the smallest count that may be known.
    """
    before = [known(issue, smallest) for issue in earlier]
    kept = list(tables)
    while (position := _to_hold_back(kept, before, smallest)) is not None:
        kept[position] = msgspec.structs.replace(kept[position], cells=())
    return tuple(kept)


def known(tables: Sequence[Table], smallest: int) -> dict[Key, Bounds]:
    """What a reader can work out of one issue: bounds of each cell, each table but one, each total.

    Exact, because the tables of a population are bound together by their total alone, and
    populations one within the other by their totals.
    """
    found: dict[Key, Bounds] = {}
    printed = [table for table in tables if table.cells]
    totals = _totals(printed, smallest)
    for population, (low, high) in totals.items():
        there = [table for table in printed if table.population == population]
        found[population, "", ""] = (low, high)
        for whole in {table.within for table in there} & totals.keys():
            least, most = totals[whole]
            found[population, "", f"the rest of {whole}"] = (max(0, least - high), most - low)
        for table in there:
            for cell in table.cells:
                least, most = cell.at_least, cell.at_least + smallest - 1
                others = table.at_least - cell.at_least
                most_others = others + (smallest - 1) * (len(table.cells) - 1)
                found[population, table.name, cell.name] = (
                    max(least, low - most_others),
                    min(most, high - others),
                )
                found[population, table.name, f"all but {cell.name}"] = (
                    max(others, low - most),
                    min(most_others, high - least),
                )
    return found


def _totals(printed: Sequence[Table], smallest: int) -> dict[str, Bounds]:
    """Bounds of the total of each population, each by its own tables and the other's."""
    totals = {}
    for population in dict.fromkeys(table.population for table in printed):
        own = [table for table in printed if table.population == population]
        around = {table.within for table in own}
        low = max(t.at_least for t in printed if population in (t.population, t.within))
        high = min(
            t.at_least + (smallest - 1) * len(t.cells)
            for t in printed
            if t.population == population or t.population in around
        )
        totals[population] = (low, high)
    return totals


def reveals(bounds: Bounds, smallest: int) -> bool:
    """Whether a count, or a difference either way, can only be a small one that is not 0."""
    low, high = bounds
    return (low >= 1 and high < smallest) or (high <= -1 and low > -smallest)


def _to_hold_back(
    tables: Sequence[Table], earlier: Sequence[Mapping[Key, Bounds]], smallest: int
) -> int | None:
    """The last table that takes part in revealing something; None where nothing is revealed."""
    for population, name, _ in _revealed(known(tables, smallest), earlier, smallest):
        for position in reversed(range(len(tables))):
            table = tables[position]
            if table.cells and table.population == population and name in ("", table.name):
                return position
    return None


def _revealed(
    now: Mapping[Key, Bounds], earlier: Sequence[Mapping[Key, Bounds]], smallest: int
) -> Iterator[Key]:
    for key, (low, high) in now.items():
        differences = (
            (low - issue[key][1], high - issue[key][0]) for issue in earlier if key in issue
        )
        if any(reveals(bounds, smallest) for bounds in ((low, high), *differences)):
            yield key
