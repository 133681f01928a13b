"""What is no JSON, and what readers of JSON disagree about, is refused without being quoted."""

import json

import pytest
from records import CANARY, encode, lab, patient

from fhir_mappings.records.bundles import unbundle
from fhir_mappings.records.decoding import DEEPEST, PassedOver, Rejected, decode
from fhir_mappings.records.resources import RESOURCES, Observation, Patient


def nested(depth: int) -> bytes:
    """A Patient whose JSON is nested so deep, the resource itself being the first level."""
    return (
        b'{"resourceType":"Patient","id":"a","x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
    )


NOT_READ_ALIKE = {
    "not a number": b'{"resourceType":"Patient","id":"a","x":NaN}',
    "infinity": b'{"resourceType":"Patient","id":"a","x":Infinity}',
    "minus infinity": b'{"resourceType":"Patient","id":"a","x":-Infinity}',
    "a key twice": b'{"resourceType":"Patient","id":"a","id":"b"}',
    "a key twice further in": b'{"resourceType":"Patient","id":"a","x":{"y":1,"y":2}}',
    "a byte order mark": b'\xef\xbb\xbf{"resourceType":"Patient","id":"a"}',
    "invalid UTF-8": b'{"resourceType":"Patient","id":"a\xff"}',
    "a bare NUL": b'{"resourceType":"Patient","id":"a\x00"}',
    "an escaped NUL": b'{"resourceType":"Patient","id":"a\\u0000"}',
    "a NUL after escaped backslashes": b'{"resourceType":"Patient","id":"a\\\\\\u0000"}',
    "half a surrogate pair": b'{"resourceType":"Patient","id":"\\ud800"}',
    "a broken line": b'{"resourceType":"Patient","id":',
    "two documents": b'{"resourceType":"Patient"} {"resourceType":"Patient"}',
    "single quotes": b"{'resourceType':'Patient'}",
    "nothing": b"",
}


@pytest.mark.parametrize("raw", NOT_READ_ALIKE.values(), ids=NOT_READ_ALIKE)
def test_json_that_readers_disagree_about_is_refused(raw):
    assert isinstance(decode(raw), Rejected)


HIDDEN_IN_A_PART = {
    "a key twice": b'{"b":1,"b":2}',
    "a key twice beside an escaped colon": b'{"b":"\\u003a","b":2}',
    "a key twice beside escaped quotes": b'{"b":"\\":","b":2}',
    "a key twice, once escaped": b'{"b":1,"\\u0062":2}',
    "a key twice, both null": b'{"b":null,"b":null}',
    "not a number": b"NaN",
    "an escaped NUL": b'"\\u0000"',
    "too deep": b"[" * DEEPEST + b"]" * DEEPEST,
}
PARTS = {
    "read": b'"meta":{"lastUpdated":"2024-01-01","x":%s}',
    "listed and not read": b'"note":%s',
    "not listed": b'"zzz":%s',
    "beside what is not listed": b'"zzz":{"y":":"},"valueSampledData":{"x":%s}',
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("hidden", HIDDEN_IN_A_PART.values(), ids=HIDDEN_IN_A_PART)
def test_it_is_found_in_whatever_part_of_a_record_it_hides(part, hidden):
    raw = b'{"resourceType":"Observation","id":"a",' + part.replace(b"%s", hidden) + b"}"
    assert isinstance(decode(raw), Rejected)
    entry = b'{"resourceType":"Bundle","entry":[{"resource":' + raw + b"}]}"
    assert isinstance(unbundle(entry), Rejected)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"resourceType":"Observation","id":"a","id":"b"}',
        b'{"resourceType":"Observation","resourceType":"Observation","id":"a"}',
        b'{"resourceType":"Observation","id":"","id":""}',
        b'{"resourceType":"Observation","note":null,"note":null}',
        b'{"resourceType":"Observation","component":[],"component":[{"code":{}}]}',
    ],
)
def test_an_element_given_twice_is_refused_even_where_nothing_is_lost(raw):
    assert decode(raw) == Rejected("", "a key occurs twice in one object")


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_what_is_alike_to_every_reader_is_read_wherever_it_stands(part):
    raw = (
        b'{"resourceType":"Observation","id":"a",'
        + part.replace(b"%s", b'{"b":[":\\u003a"]}')
        + b"}"
    )
    assert decode(raw).id == "a"


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400])
def test_number_beyond_a_double_is_refused_by_its_element(number):
    raw = b'{"resourceType":"Observation","id":"a","valueQuantity":{"value":%s}}' % number.encode()
    assert decode(raw) == Rejected("Observation.valueQuantity.value", "Number out of range")


def test_backslash_before_u0000_is_text():
    assert decode(rb'{"resourceType":"Patient","id":"a","x":"\\u0000"}').id == "a"


def test_nesting_to_the_limit_is_read_and_one_more_is_refused():
    assert isinstance(decode(nested(DEEPEST)), Patient)
    assert decode(nested(DEEPEST + 1)) == Rejected("", f"nested deeper than {DEEPEST}")


def test_nesting_that_would_break_a_recursive_reader_is_refused():
    assert isinstance(decode(nested(100_000)), Rejected)


def test_many_brackets_side_by_side_are_not_deep():
    record = patient() | {"name": [{"given": [["x"]]}] * 500}
    assert isinstance(decode(encode(record)), Patient)


@pytest.mark.parametrize(
    "text", ["[" * 200, '"' + "{[" * 200, "\\" * 3 + '"' + "[" * 200, "\\" + "[" * 100]
)
def test_brackets_in_a_string_are_not_nesting(text):
    assert isinstance(decode(encode(patient() | {"x": text})), Patient)


def test_deep_nesting_beside_a_string_with_quotes_is_still_found():
    deep = json.loads("[" * 70 + "]" * 70)
    raw = encode(patient() | {"x": '\\" [ \\', "y": deep})
    assert decode(raw) == Rejected("", f"nested deeper than {DEEPEST}")


def test_resource_that_no_feature_reads_is_passed_over_by_its_type():
    assert decode(b'{"resourceType":"Claim","id":"a"}') == PassedOver("Claim")


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        b"5",
        b"null",
        b'"Patient"',
        b"{}",
        b'{"resourceType":null}',
        b'{"resourceType":""}',
        b'{"resourceType":"<script>"}',
        b'{"resourceType":"patient"}',
    ],
)
def test_json_without_a_resource_type_is_refused(raw):
    assert decode(raw).element == "resourceType"


@pytest.mark.parametrize("name", RESOURCES)
def test_resource_with_nothing_but_its_type_is_read(name):
    assert type(decode(b'{"resourceType":"%s"}' % name.encode())).__name__ == name


def test_element_of_the_wrong_type_is_named_with_its_place():
    record = lab("a", 0) | {"component": [{}, {"valueQuantity": {"value": CANARY}}]}
    fault = decode(encode(record))
    assert fault.element == "Observation.component[1].valueQuantity.value"
    assert fault.reason.startswith("Expected")


def test_unknown_elements_and_extensions_are_skipped():
    record = lab("a", 0) | {"_status": {"extension": []}, "note": [{"text": CANARY}], "zzz": 5}
    assert isinstance(decode(encode(record)), Observation)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"resourceType":"Patient","id":{"%s":1}}',
        b'{"resourceType":"Patient","%s":1,"%s":2}',
        b'{"resourceType":"Patient","id":"a","gender":["%s"]}',
        b'{"resourceType":"Patient","id":"%s',
        b'{"resourceType":"%s"}',
        b'{"resourceType":"Encounter","location":["%s"]}',
        b'{"resourceType":"Encounter","location":[{"%s":1e999}]}',
        b"%s",
    ],
)
def test_no_refusal_quotes_the_record(raw):
    fault = decode(raw.replace(b"%s", CANARY.encode()))
    assert isinstance(fault, Rejected)
    assert CANARY not in repr(fault)
