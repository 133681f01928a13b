"""``python -m benchmarks [NAME ...]``: run the benchmarks and print what they measured.

The results are also written to ``benchmarks/results/latest.json``.
"""

import dataclasses
import importlib
import json
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

NAMES = (
    "reading",
    "features",
    "serving",
    "batch",
    "trust",
    "cds",
    "startup",
    "work_list",
    "monitoring",
    "intervals",
    "quality",
    "remaining",
    "capacity",
    "fairness",
    "ablation",
)
"""Every benchmark: a module of that name with ``run(folder) -> list[Result]``."""

MODULES = {"cds": "cds_call"}
"""Where the module has a longer name."""


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; the exit code says whether every target was met."""
    console = Console(width=None if sys.stdout.isatty() else 150)
    chosen = names or list(NAMES)
    if unknown := sorted(set(chosen) - set(NAMES)):
        console.print(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
        return 2
    every = {}
    for name in chosen:
        began = time.perf_counter()
        module = f"benchmarks.{MODULES.get(name, name)}"
        with tempfile.TemporaryDirectory(prefix="readmit-bench-") as folder:
            every[name] = importlib.import_module(module).run(Path(folder))
        table = Table(title=f"{name} ({time.perf_counter() - began:.0f} s)", title_justify="left")
        for column in ("what", "measured", "target", "met", "detail"):
            table.add_column(column, justify="right" if column == "measured" else "left")
        for result in every[name]:
            met = "" if result.met is None else ("yes" if result.met else "NO")
            value = f"{result.value:.3g} {result.unit}"
            table.add_row(result.name, value, result.target, met, result.detail)
        console.print(table)
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    plain = {name: [dataclasses.asdict(r) for r in found] for name, found in every.items()}
    (results / "latest.json").write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    missed = [r for found in every.values() for r in found if r.met is False]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
