"""What the documentation says must be so."""

import re
from pathlib import Path
from typing import Any

import pytest

import training
from fhir_mappings.features.declaration import declared_features
from fhir_mappings.features.reference import features_reference
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import SHIPPED, load_profile
from service.cli import app
from service.settings import Settings
from training.simulated_hospital import simulate

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_the_reference_of_features_is_made_from_the_declarations():
    made = features_reference(declared_features())
    assert read(DOCS / "reference" / "features.md") == made, "run `make docs`"


def test_the_reference_names_every_feature_once():
    made = features_reference(declared_features())
    headings = re.findall(r"^### (\S+)$", made, re.MULTILINE)
    assert sorted(headings) == sorted(feature.name for feature in declared_features())


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_for_operators(name):
    assert f"`READMIT_{name.upper()}`" in read(DOCS / "reference" / "settings.md")


def test_no_setting_is_documented_that_does_not_exist():
    named = set(re.findall(r"READMIT_([A-Z_]+)", read(DOCS / "operator.md")))
    assert named - {name.upper() for name in Settings.model_fields} == set()


@pytest.mark.parametrize("name", [command.callback.__name__ for command in app.registered_commands])
def test_every_command_is_mentioned(name):
    text = "".join(
        map(read, (ROOT / "README.md", DOCS / "data-scientist.md", DOCS / "operator.md"))
    )
    assert re.search(rf"\b(readmit|make) {name}\b", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = [link.partition("#")[0] for link in _LINK.findall(read(page)) if "://" not in link]
    broken = [target for target in targets if target and not (page.parent / target).exists()]
    assert broken == []


@pytest.mark.parametrize("name", SHIPPED)
def test_every_profile_that_ships_is_named(name):
    assert f"`{name}`" in read(DOCS / "site-profiles.md")


def test_the_python_example_runs(tmp_path, monkeypatch):
    simulate(tmp_path / "records", 40, 1)
    ingest([tmp_path / "records"], tmp_path / "store", load_profile("default"), shards=2)
    monkeypatch.chdir(tmp_path)
    (example,) = _PYTHON.findall(read(DOCS / "data-scientist.md"))
    names: dict[str, object] = {}
    exec(compile(example, "data-scientist.md", "exec"), names)
    data = names["data"]
    assert len(data.stays) == len(data.values) == len(data.outcome) > 0


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_the_notebook_example_runs_on_a_simulated_hospital(tmp_path, monkeypatch):
    simulate(tmp_path / "records", 300, 1)
    ingest([tmp_path / "records"], tmp_path / "store", load_profile("simulated"), shards=2)
    monkeypatch.chdir(tmp_path)
    (example,) = _PYTHON.findall(read(DOCS / "notebook.md"))
    names: dict[str, Any] = {}
    exec(compile(example, "notebook.md", "exec"), names)
    assert {"model", "lace", "hospital", "logistic"} <= set(names["beside"].columns)
    assert {"sex", "age_band"} <= set(names["groups"]["attribute"])
    assert len(names["risks"]) == len(names["data"])
    assert Path(names["result"].report).is_file()


def test_what_notebooks_import_is_there_and_says_what_it_is():
    for name in training.__all__:
        assert getattr(training, name).__doc__, name
    listed = re.findall(r"`(\w+)\(", read(DOCS / "notebook.md"))
    assert {name for name in listed if "." not in name} - set(training.__all__) == set()
