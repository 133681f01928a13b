"""What holds in every test: no line of our loggers holds a name that was planted in a record."""

from collections.abc import Iterator

import pytest
from records import CANARY

PLANTED = (CANARY, "Zebedee", "Quillfeather", "Canarina")
"""The names of the tests' patients (``fixtures/records.py``, ``api/test_errors.py``)."""


@pytest.fixture(autouse=True)
def nothing_of_a_patient_in_our_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Search what our own loggers were given, before any formatter could have dropped it."""
    yield
    for phase in ("setup", "call"):
        for record in caplog.get_records(phase):
            if record.name.startswith("readmit"):
                told = f"{record.msg!r} {record.args!r}"
                assert not any(name in told for name in PLANTED), record.name
