"""Golden pairs: every identifier of Safe Harbor's list in fictitious records, and what is left."""

import json

import pytest
from golden_pairs import FOLDER, NAMES, expectation, golden

from fhir_mappings.deidentification.dates import Dates


@pytest.mark.parametrize("dates", list(Dates))
@pytest.mark.parametrize("name", NAMES)
def test_these_records_leave_these_lines(name, dates, tmp_path):
    wanted = json.loads(expectation(name, dates).read_text(encoding="utf-8"))
    assert golden(name, dates, tmp_path) == wanted


def test_every_expectation_has_its_records():
    found = {file.name.split(".")[0] for file in FOLDER.iterdir()}
    assert found == set(NAMES)
    assert len(NAMES) >= 3
