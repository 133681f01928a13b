"""The study file: every choice in one place, and none that is misspelt or unknown."""

from importlib.resources import files
from pathlib import Path

import msgspec
import pytest

from fhir_mappings.errors import StudyError
from training.study import Study, load_study, parse_study

SHIPPED = (files("training") / "studies" / "default.toml").read_text(encoding="utf-8")


def test_the_shipped_study_file_spells_out_the_defaults():
    assert parse_study(SHIPPED.encode(), "default.toml") == Study()


def test_the_shipped_study_file_names_every_choice():
    for section, content in msgspec.to_builtins(Study()).items():
        names = content if isinstance(content, dict) else {section: content}
        for name in names:
            assert f"{name} = " in SHIPPED or f"[{section}.{name}]" in SHIPPED, (section, name)


def test_what_a_file_leaves_out_keeps_its_default(tmp_path):
    (tmp_path / "study.toml").write_text("[cohort]\nhorizon_days = 90\n")
    study = load_study(tmp_path / "study.toml")
    assert study.cohort.horizon_days == 90
    assert study.gates == Study().gates


def test_every_choice_changes_the_hash():
    digest = Study().digest()
    changed = [
        'name = "another"',
        "seed = 2",
        "[cohort]\nhorizon_days = 7",
        '[split]\nby = "patient"',
        '[features]\nleave_out = ["age"]',
        "[trees]\neta = 0.1",
        "[evaluation]\nresamples = 999",
        "[gates]\nauroc_low = 0.5",
        "[monitoring]\npsi_warn = 0.2",
    ]
    digests = {parse_study(text.encode(), "study.toml").digest() for text in changed}
    assert len(digests - {digest}) == len(changed)
    assert Study().digest() == digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gates]\naurok_low = 0.9", "aurok_low"),
        ("[split]\nby = 'luck'", "split.by"),
        ("[split]\ntest_share = 1.5", "split.test_share"),
        ("[evaluation]\nattributes = ['star_sign']", "star_sign"),
        ("[[gates.waivers]]\ngate = 'subgroup'\nby = 'N. Example'\nreason = 'because'", "reason"),
        ("seed = ", "study.toml"),
        ("[gates]\nsubgroup_auroc = nan", "not-a-number"),
    ],
)
def test_a_misspelt_or_impossible_choice_is_refused_and_named(text, said):
    with pytest.raises(StudyError, match=said):
        parse_study(text.encode(), "study.toml")


def test_a_file_that_is_not_there_is_said_to_be_absent():
    with pytest.raises(StudyError, match="no such study file"):
        load_study(Path("absent.toml"))


def test_a_study_comes_back_from_its_json_as_it_was():
    study = parse_study(b"[trees]\nmax_depth = 4\n", "study.toml")
    again = parse_study(msgspec.json.encode(study), "study.json")
    assert again == study
    assert again.digest() == study.digest()
