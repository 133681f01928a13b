"""Nothing of a record's texts, keys, ids or file names is in an export, whatever stands where."""

import gzip
import json
import tempfile
from pathlib import Path

import pytest
from canaries import WORDS, anything, canaries, resources
from golden_pairs import exported
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import RECORDS, encode, ndjson, needs_records, patient, written

from fhir_mappings.deidentification.dates import Dates
from fhir_mappings.deidentification.export import export
from fhir_mappings.profiles import load_profile

unlisted = st.fixed_dictionaries({"resourceType": canaries, "id": canaries, "name": anything})


def left(folder: Path) -> str:
    """Every byte of an export, and every name in it."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return "".join(str(f.relative_to(folder)) + f.read_text(encoding="utf-8") for f in files)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(resources() | unlisted, min_size=1, max_size=4), st.sampled_from(Dates))
def test_no_canary_leaves(records, dates):
    with tempfile.TemporaryDirectory() as folder:
        content = left(exported(Path(folder), ndjson(*records), dates)).casefold()
    for word in WORDS:
        assert word.casefold() not in content


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(resources(), min_size=1, max_size=4), canaries)
def test_no_canary_of_a_bundle_leaves(records, address):
    entries = [{"fullUrl": address, "resource": record} for record in records]
    with tempfile.TemporaryDirectory() as folder:
        content = left(
            exported(Path(folder), encode({"resourceType": "Bundle", "entry": entries}))
        ).casefold()
    for word in WORDS:
        assert word.casefold() not in content


def test_a_canary_would_be_found(tmp_path):
    written(tmp_path / "Zebedee.ndjson", b"{}")
    assert "Zebedee" in left(tmp_path)


def test_a_file_named_for_a_patient_is_not_named(tmp_path):
    source = written(tmp_path / "in" / "Zebedee_Quillfeather.ndjson", ndjson(patient()))
    source.write_bytes(source.read_bytes() + b'{"Zebedee')
    said: list[str] = []
    out = tmp_path / "out"
    export(
        [source.parent],
        out,
        bytes(32),
        load_profile("default"),
        progress=lambda what, *_: said.append(what),
    )
    assert "Zebedee" not in left(out) + "".join(said)


@pytest.mark.slow
@pytest.mark.records
@needs_records
@pytest.mark.parametrize(("folder", "profile"), [("synthea", "synthea"), ("clinosim", "clinosim")])
def test_nobody_of_the_generated_hospitals_is_named(folder, profile, tmp_path):
    """Names, addresses, telephones, identifiers and full dates of the copies beside the project."""
    chosen = sorted((RECORDS / folder).glob("*.gz"))
    chosen = chosen[:12] if folder == "synthea" else [f for f in chosen if "Patient" in f.name]
    secrets: set[str] = set()
    for file in chosen:
        text = gzip.decompress(file.read_bytes()).decode()
        found = json.loads(text) if folder == "synthea" else None
        entries = (
            found["entry"] if found else [{"resource": json.loads(x)} for x in text.splitlines()]
        )
        for resource in (entry["resource"] for entry in entries):
            secrets.update(_secrets(resource))
    assert len(secrets) > 100
    out = tmp_path / "out"
    export(chosen, out, bytes(32), load_profile(profile))
    content = left(out)
    assert {secret for secret in secrets if secret in content} == set()


@pytest.mark.records
@needs_records
def test_the_patients_of_mimic_are_not_named(tmp_path):
    files = [
        RECORDS / "mimic-iv-demo-fhir" / f"Mimic{name}.ndjson.gz"
        for name in ("Patient", "Encounter")
    ]
    secrets: set[str] = set()
    for file in files:
        for line in gzip.decompress(file.read_bytes()).splitlines():
            secrets.update(_secrets(json.loads(line)))
    assert len(secrets) > 500
    out = tmp_path / "out"
    export(files, out, bytes(32), load_profile("mimic"))
    content = left(out)
    assert {secret for secret in secrets if secret in content} == set()


def _secrets(resource: dict) -> set[str]:
    """What identifies: ids, identifiers, names, lines of addresses, telephones and full dates."""
    found = {resource["id"]} if len(resource.get("id", "")) > 5 else set()
    found.update(each["value"] for each in resource.get("identifier", ()) if len(each["value"]) > 5)
    if resource["resourceType"] == "Patient":
        found.add(resource["birthDate"])
        found.update(each["family"] for each in resource.get("name", ()))
        found.update(each["value"] for each in resource.get("telecom", ()))
        found.update(line for each in resource.get("address", ()) for line in each["line"])
        found.update(each["city"] for each in resource.get("address", ()))
    found.update(value[:10] for value in resource.get("period", {}).values())
    return found
