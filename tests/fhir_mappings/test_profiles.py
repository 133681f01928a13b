"""Site profiles: data, checked when they are loaded."""

import pytest

from fhir_mappings.concepts import load_concepts
from fhir_mappings.errors import DeclarationError, SiteProfileError
from fhir_mappings.profiles import SHIPPED, load_profile
from fhir_mappings.sources.reading import site_concepts


def site(tmp_path, text):
    file = tmp_path / "site.toml"
    file.write_text('name = "ward"\ndescription = "A ward."\n' + text, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_profiles_load_under_their_own_name(name):
    profile = load_profile(name)
    assert profile.name == name
    assert site_concepts(profile).names() == load_concepts().names()


def test_site_says_only_what_differs(tmp_path):
    profile = load_profile(site(tmp_path, "[stays]\nmerge_within_hours = 6"))
    assert profile.stays.merge_within_hours == 6
    assert profile.stays.emergency_within_hours == 12
    assert profile.timezone == "UTC"


@pytest.mark.parametrize(
    "text",
    [
        "stay = 5",
        "[stays]\nmerge_hours = 6",
        '[[encounters]]\nkind = "ward"',
        'timezone = "Europe/Nowhere"',
        'timezone = "../../etc/passwd"',
        'timezone = ""',
        '[coding]\nknown = "sometime"',
        "calendar = maybe",
    ],
)
def test_malformed_profile_is_refused_when_loaded(tmp_path, text):
    with pytest.raises(SiteProfileError, match=r"site\.toml"):
        load_profile(site(tmp_path, text))


@pytest.mark.parametrize("name", ["absent", "absent.toml", "", "../default"])
def test_unknown_profile_is_refused_with_the_names_there_are(name):
    with pytest.raises(SiteProfileError, match="mimic"):
        load_profile(name)


def test_site_codes_are_added_to_their_concept(tmp_path):
    profile = load_profile(site(tmp_path, '[concepts]\n"lab.sodium" = ["urn:ward|NA"]'))
    concepts = site_concepts(profile)
    assert concepts.of("urn:ward|NA") == ("lab.sodium",)
    assert concepts.of("LOINC|2951-2") == ("lab.sodium",)


def test_site_cannot_invent_a_concept(tmp_path):
    profile = load_profile(site(tmp_path, '[concepts]\n"lab.unobtainium" = ["urn:ward|U"]'))
    with pytest.raises(DeclarationError, match="unobtainium"):
        site_concepts(profile)
