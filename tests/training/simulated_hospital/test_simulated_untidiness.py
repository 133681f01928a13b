"""The records are as untidy as real ones, in ways that can be counted."""

from collections import Counter

from simulated_export import Hospital


def _laboratory(hospital: Hospital) -> list[dict]:
    return [
        record
        for _, record in hospital.lines
        if record["resourceType"] == "Observation"
        and record["category"][0]["coding"][0]["code"] == "laboratory"
    ]


def test_some_lines_are_no_resource_and_all_in_one_file(hospital: Hospital) -> None:
    assert hospital.malformed == hospital.summary.malformed_lines == 3


def test_haemoglobin_and_white_cells_come_in_several_units(hospital: Hospital) -> None:
    units: Counter[tuple[str, str]] = Counter()
    for record in _laboratory(hospital):
        for coding in record["code"].get("coding", []):
            if "valueQuantity" in record:
                units[coding["code"], record["valueQuantity"]["unit"]] += 1
    assert units["718-7", "g/dL"] > units["718-7", "g/L"] > 0
    assert units["2951-2", "mmol/L"] > units["2951-2", "meq/L"] > 0
    assert units["6690-2", "10*3/uL"] > units["6690-2", "/uL"] > 0
    assert units["2345-7", "mmol/L"] > 0
    assert any(unit == "[arb'U]" for _, unit in units)


def test_temperature_comes_in_celsius_and_in_fahrenheit(hospital: Hospital) -> None:
    values = [
        record["valueQuantity"]
        for _, record in hospital.lines
        if record["resourceType"] == "Observation"
        and record["code"].get("coding", [{}])[0].get("code") == "8310-5"
    ]
    celsius = [value["value"] for value in values if value["unit"] == "Cel"]
    fahrenheit = [value["value"] for value in values if value["unit"] == "[degF]"]
    assert celsius
    assert fahrenheit
    assert max(celsius) < 45 < 90 < min(fahrenheit)


def test_some_results_have_a_local_code_alone_and_some_no_value(hospital: Hospital) -> None:
    results = _laboratory(hospital)
    local = [r for r in results if all("loinc" not in c["system"] for c in r["code"]["coding"])]
    absent = [r for r in results if "dataAbsentReason" in r]
    assert local
    assert absent
    assert all("valueQuantity" not in record for record in absent)


def test_errors_are_marked_and_absurd(hospital: Hospital) -> None:
    wrong = [r for r in _laboratory(hospital) if r["status"] == "entered-in-error"]
    assert wrong
    sodium = [r for r in wrong if r["code"]["coding"][-1]["code"] == "2951-2"]
    assert all(r["valueQuantity"]["value"] > 1000 for r in sodium)


def test_a_correction_is_the_later_version_of_a_result(hospital: Hospital) -> None:
    versions: dict[str, set[tuple[str, str]]] = {}
    for record in _laboratory(hospital):
        meta = record.get("meta")
        if meta is not None:
            versions.setdefault(record["id"], set()).add((meta["versionId"], meta["lastUpdated"]))
    both = [sorted(found) for found in versions.values()]
    assert both
    for first, second in both:
        assert first[0] == "1"
        assert second[0] == "2"
        assert first[1] < second[1]


def test_some_resources_come_twice_and_unchanged(hospital: Hospital) -> None:
    seen: Counter[str] = Counter()
    for _, record in hospital.lines:
        seen[repr(record)] += 1
    twice = {text.split("'")[3] for text, count in seen.items() if count == 2}
    assert twice >= {"Observation"}
    assert max(seen.values()) <= 2


def test_some_stays_were_cancelled_or_mistaken_and_are_not_in_the_truth(hospital: Hospital) -> None:
    void = {
        record["id"]
        for _, record in hospital.lines
        if record["resourceType"] == "Encounter"
        and record["status"] in ("cancelled", "entered-in-error")
    }
    assert void
    assert not void & {row["encounter_id"] for row in hospital.truth}


def test_one_type_is_spread_over_files_whose_names_do_not_say_so(hospital: Hospital) -> None:
    files = {name for name, record in hospital.lines if record["resourceType"] == "Observation"}
    assert len(files) >= 4
    assert sum("Observation" in name for name in files) == 1
