"""Log lines: a field is taken for what it is, and whatever else is left out and counted."""

import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.errors import RiskModelError
from service.observing.logs import (
    DROPPED,
    FIELDS,
    Happening,
    JSONLines,
    StandardError,
    Template,
    logger,
    method_of,
    pseudonym,
    template_of,
)
from service.protection.keys import new_keys

CANARY = "Canarina"


def _fail() -> None:
    raise KeyError(CANARY)


def written(caplog: pytest.LogCaptureFixture, event: Any, **fields: Any) -> dict[str, Any]:
    """A line as it would be written."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        logger("readmit.test").info(event, **fields)
    (record,) = caplog.records
    line: dict[str, Any] = json.loads(JSONLines().format(record))
    return line


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("patient", CANARY),
        ("route", f"/Patient/{CANARY}"),
        ("route", "/v1/model"),
        ("method", CANARY),
        ("caller", CANARY),
        ("caller", "0" * 16),
        ("status", CANARY),
        ("status", True),
        ("status", 19310719_0000),
        ("milliseconds", CANARY),
        ("request", CANARY),
        ("incident", CANARY),
        ("error", CANARY),
        ("where", CANARY),
        ("reason", CANARY),
        ("reason", ValueError(CANARY)),
        ("mode", CANARY),
        ("address", CANARY),
        ("exc_info", True),
        ("stack_info", True),
        ("extra", {"patient": CANARY}),
    ],
)
def test_what_is_not_on_the_list_is_left_out_and_counted(
    field: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    before = DROPPED.fields
    line = written(caplog, Happening.SERVING, **{field: value})
    assert field not in line
    assert CANARY not in json.dumps(line)
    assert CANARY not in repr(caplog.records[0].__dict__)
    assert DROPPED.fields == before + 1


def test_an_event_is_of_the_closed_list(caplog: pytest.LogCaptureFixture) -> None:
    for event in (CANARY, "serving"):
        line = written(caplog, event)
        assert line["event"] == "unnamed"
        assert CANARY not in json.dumps(line)


def test_an_error_gives_its_type_and_place_and_never_its_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    try:
        _fail()
    except KeyError as error:
        line = written(caplog, Happening.INCIDENT, error=error, where=error)
    assert line["error"] == "KeyError"
    assert [place.split()[-1] for place in line["where"].split(" < ")] == [
        "_fail",
        "test_an_error_gives_its_type_and_place_and_never_its_message",
    ]
    assert CANARY not in json.dumps(line)


def test_an_error_of_ours_may_speak(caplog: pytest.LogCaptureFixture) -> None:
    error = RiskModelError("no champion is registered")
    assert written(caplog, Happening.NO_MODEL, reason=error)["reason"] == str(error)


def test_absence_is_no_mistake(caplog: pytest.LogCaptureFixture) -> None:
    before = DROPPED.fields
    assert "status" not in written(caplog, Happening.REQUEST, status=None)
    assert DROPPED.fields == before


@given(
    message=st.text(),
    name=st.text(min_size=1),
    arguments=st.lists(st.text(), max_size=3),
    level=st.sampled_from([logging.DEBUG, logging.INFO, logging.ERROR, 17]),
)
def test_a_librarys_record_is_one_line_without_its_message(
    message: str, name: str, arguments: list[str], level: int
) -> None:
    record = logging.LogRecord(
        name, level, "/lib/module.py", 7, CANARY + message, tuple(arguments), None, "function"
    )
    line = JSONLines().format(record)
    assert "\n" not in line
    assert line.isprintable()
    told = json.loads(line)
    assert told.keys() == {"time", "level", "logger", "event", "where"}
    assert told["where"] == "module.py:7 function"
    assert CANARY not in line


def test_a_librarys_error_is_named_by_type_and_place() -> None:
    try:
        _fail()
    except KeyError:
        record = logging.LogRecord(
            "other", logging.ERROR, "/lib/module.py", 7, CANARY, None, sys.exc_info()
        )
    told = json.loads(JSONLines().format(record))
    assert told["error"] == "KeyError"
    assert "test_logs.py" in told["where"]
    assert CANARY not in json.dumps(told)


def test_a_librarys_record_cannot_pass_for_ours() -> None:
    record = logging.LogRecord("other", logging.INFO, "m.py", 1, {"patient": CANARY}, None, None)
    assert CANARY not in JSONLines().format(record)


def test_a_line_that_cannot_be_written_is_counted_and_not_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full:
        def write(self, _: str) -> None:
            raise OSError("no space left on device")

    handler = StandardError()
    handler.setFormatter(JSONLines())
    before = DROPPED.lines
    with monkeypatch.context() as full:
        full.setattr(sys, "stderr", Full())
        handler.handle(logging.LogRecord("other", 20, "m.py", 1, CANARY, None, None))
    assert DROPPED.lines == before + 1
    assert CANARY not in capsys.readouterr().err


def test_a_pseudonym_is_the_same_each_time_and_another_under_another_key() -> None:
    keys, others = new_keys(), new_keys()
    assert pseudonym(keys, "issuer", "anna") == pseudonym(keys, "issuer", "anna")
    assert pseudonym(keys, "issuer", "anna") != pseudonym(keys, "issuer", "bert")
    assert pseudonym(keys, "issuer", "anna") != pseudonym(others, "issuer", "anna")
    assert pseudonym(keys, "a", "bc") != pseudonym(keys, "ab", "c")


def test_a_path_without_a_route_and_a_method_of_nobody_have_no_name() -> None:
    assert template_of({"path": f"/{CANARY}"}) == "(no route)"
    assert method_of({"method": CANARY}) == "OTHER"
    assert isinstance(template_of({}), Template)


def test_every_field_on_the_list_is_agreed_on() -> None:
    """Whoever adds one must come by here, and say why it cannot be a patient's."""
    agreed = (
        "event method route status count milliseconds caller request incident error where why "
        "listed reason mode address port https"
    )
    assert " ".join(FIELDS) == agreed
