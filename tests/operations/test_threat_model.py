"""The threat model names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+)`", TEXT)))


@pytest.mark.parametrize("name", NAMED)
def test_what_proves_a_control_exists(name: str) -> None:
    assert (ROOT / name).exists()


def test_every_threat_names_its_control_and_what_proves_it_or_says_that_nothing_does() -> None:
    rows = [line.split("|")[1:-1] for line in TEXT.splitlines() if line.startswith("| ")]
    threats = [row for row in rows if row[0].strip() in tuple("STRIDE")]
    assert len(threats) > 20
    for _, threat, control, proof in threats:
        assert control.strip(), threat
        assert "`tests/" in proof or "not proven" in proof, threat
