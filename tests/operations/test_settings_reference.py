"""Every setting is documented, and no secret is."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from service.settings import Settings
from service.settings_reference import settings_reference

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_of_settings_is_made_from_the_settings() -> None:
    kept = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    assert kept == settings_reference(), "run `make docs`"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_row_with_a_meaning(name: str) -> None:
    (row,) = [
        line for line in settings_reference().splitlines() if f"`READMIT_{name.upper()}`" in line
    ]
    meaning = row.split("|")[3].strip()
    assert meaning.endswith(".")


def test_no_secret_has_a_default_and_every_one_has_a_type_that_hides_it() -> None:
    for name, field in Settings.model_fields.items():
        if "SecretStr" in str(field.annotation):
            assert field.get_default() is None, name
        assert not isinstance(field.get_default(), SecretStr), name
