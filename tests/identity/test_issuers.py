"""Whom to trust is a file; what is wrong in it is named, never quoted, and stops the start."""

import re
from pathlib import Path

import msgspec
import pytest
from openid_provider import new_key

from service.identity.issuers import read_trusted
from service.identity.roles import Role
from service.settings import Settings, SettingsError

ISSUER = """
[[issuer]]
issuer = "https://id.hospital.example"
audience = "readmit"
"""
CLIENT = """
[[client]]
client_id = "night-batch"
scopes = "system/RiskAssessment.crs"
jwks_file = "batch.json"
"""
SERVER = """
[[fhir_server]]
url = "https://ehr.hospital.example/fhir"
issuer = "https://id.hospital.example"
"""


@pytest.fixture
def read(tmp_path):
    key = new_key("ES384").as_dict(private=False)
    (tmp_path / "batch.json").write_bytes(msgspec.json.encode({"keys": [key]}))

    def read(text: str | bytes, **settings):
        file = tmp_path / "trusted.toml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_trusted(Settings(issuers=file, **settings))

    return read


def test_without_a_file_nobody_is_trusted():
    trusted = read_trusted(Settings())
    assert (trusted.issuers, trusted.clients, trusted.fhir_servers) == ({}, {}, ())


def test_issuers_and_clients_are_read_and_nobody_is_asked(read):
    rule = '[[issuer.role]]\nclaim = "roles"\nvalue = "ward"\nrole = "care_manager"\n'
    trusted = read(ISSUER + rule + CLIENT)
    issuer = trusted.issuers["https://id.hospital.example"].declared
    assert issuer.role[0].role is Role.CARE_MANAGER
    assert issuer.algorithms == ("RS256",)
    assert [str(scope) for scope in trusted.clients["night-batch"].scopes] == [
        "system/RiskAssessment.crs"
    ]


def test_an_audience_may_be_several_or_the_url_that_is_called(read):
    several = read(ISSUER.replace('"readmit"', '["readmit", "by-hand"]'))
    assert several.issuers["https://id.hospital.example"].declared.audiences == (
        "readmit",
        "by-hand",
    )
    read(ISSUER.replace('audience = "readmit"', "audience_is_url = true"))
    with pytest.raises(SettingsError, match="audience"):
        read(ISSUER.replace('"readmit"', "[]"))


def test_a_server_is_paired_with_an_issuer(read):
    (server,) = read(ISSUER + SERVER + 'addresses = ["10.0.0.7"]').fhir_servers
    assert (server.issuer, server.addresses) == ("https://id.hospital.example", ("10.0.0.7",))


LAUNCH = ISSUER + SERVER + 'client_id = "readmit-app"\n'


def test_a_server_that_has_a_client_id_may_launch(read):
    trusted = read(LAUNCH + 'launch_roles = ["clinician"]')
    base = "https://ehr.hospital.example/fhir"
    server = trusted.launching(f"{base}/")
    assert (server.url, server.vouching) == (base, "https://id.hospital.example")
    assert trusted.launched_from("https://id.hospital.example")
    assert trusted.launching("https://another.example/fhir") is None
    paired_alone = read(ISSUER + SERVER)
    assert paired_alone.launching(base) is None
    assert not paired_alone.launched_from("https://id.hospital.example")


def test_the_id_tokens_of_a_launch_may_be_another_issuers(read):
    second = ISSUER.replace("id.hospital", "sso.hospital")
    trusted = read(second + LAUNCH + 'openid_issuer = "https://sso.hospital.example"')
    assert trusted.fhir_servers[0].vouching == "https://sso.hospital.example"


@pytest.mark.parametrize(
    ("text", "element"),
    [
        (LAUNCH + 'launch_roles = ["canary"]', "fhir_server[0].launch_roles"),
        (LAUNCH + 'launch_roles = ["auditor"]', "fhir_server[0].launch_roles"),
        (LAUNCH + 'launch_roles = ["data_scientist"]', "fhir_server[0].launch_roles"),
        (LAUNCH + 'openid_issuer = "https://canary.example"', "fhir_server[0].openid_issuer"),
        (LAUNCH + 'client_authentication = "canary"', "fhir_server[0].client_authentication"),
        (LAUNCH.replace("readmit-app", ""), "fhir_server[0].client_id"),
        (LAUNCH.replace("readmit-app", "readmit"), "fhir_server[0].client_id"),
        (ISSUER + SERVER + 'launch_roles = ["clinician"]', "fhir_server[0].client_id"),
        (
            LAUNCH + SERVER.replace("/fhir", "/fhir/") + 'client_id = "canary"',
            "fhir_server: one launches twice",
        ),
        (ISSUER + 'colour = "canary"', "issuer[0]"),
        (ISSUER + 'algorithms = ["HS256"]', "issuer[0].algorithms"),
        (ISSUER + 'algorithms = ["none"]', "issuer[0].algorithms"),
        (ISSUER + 'algorithms = ["RS512"]', "issuer[0].algorithms"),
        (ISSUER + "algorithms = []", "issuer[0].algorithms"),
        (ISSUER + 'client_id = "readmit"', "issuer[0].client_id"),
        (ISSUER + 'jwks_uri = "http://canary.example/jwks"', "issuer[0].jwks_uri"),
        (ISSUER + 'token_endpoint = "canary"', "issuer[0].token_endpoint"),
        (ISSUER + 'system_scopes = "user/RiskAssessment.r"', "issuer[0].system_scopes"),
        (ISSUER + '[[issuer.role]]\nclaim="a"\nvalue="b"\nrole="canary"', "role"),
        (ISSUER + ISSUER, "issuer"),
        (ISSUER.replace("https://id.hospital.example", "http://id.canary.example"), "issuer[0]"),
        (ISSUER.replace('"readmit"', '""'), "issuer[0].audience"),
        ('[[issuer]]\nissuer = "https://id.canary.example"', "audience"),
        (ISSUER.replace("https://id.hospital.example", "http://127.0.0.1:8000"), "issuer"),
        (CLIENT + CLIENT, "client"),
        (CLIENT + 'jwks_uri = "https://canary.example"', "client[0]"),
        (CLIENT.replace("batch.json", "absent.json"), "client[0].jwks_file"),
        (CLIENT.replace("batch.json", "trusted.toml"), "client[0].jwks_file"),
        (CLIENT.replace('jwks_file = "batch.json"', ""), "client[0]"),
        (CLIENT.replace("system/", "patient/"), "client[0].scopes"),
        (CLIENT.replace("system/RiskAssessment.crs", ""), "client[0].scopes"),
        (CLIENT.replace("RiskAssessment.crs", "RiskAssessment.canary"), "client[0].scopes"),
        (ISSUER + SERVER.replace("id.hospital", "canary"), "fhir_server[0].issuer"),
        (ISSUER + SERVER.replace("https://ehr", "http://canary"), "fhir_server[0].url"),
        (ISSUER + SERVER + 'addresses = ["canary"]', "fhir_server[0].addresses"),
        (ISSUER + SERVER + 'name = "Canary EHR"', "fhir_server[0].name"),
        (ISSUER + SERVER + "write_back = true", "fhir_server[0].name"),
        (
            ISSUER + SERVER + 'name = "e"\nsubscription_secret_sha256 = "canary"',
            "fhir_server[0].subscription_secret_sha256",
        ),
        (ISSUER + SERVER + 'backend_client_id = "canary"', "fhir_server[0]"),
        (
            ISSUER + SERVER + 'backend_client_id = "c"\nbackend_token_endpoint = "ftp://canary"',
            "fhir_server[0].backend_token_endpoint",
        ),
        (ISSUER + SERVER + 'backend_scopes = "canary"', "fhir_server[0].backend_scopes"),
        (ISSUER + (SERVER + 'name = "canary"') * 2, "fhir_server"),
        ("canary =", "TOML"),
        (b"\xff", "UTF-8"),
    ],
)
def test_what_is_wrong_is_named_and_not_quoted(read, text, element):
    with pytest.raises(SettingsError) as caught:
        read(text)
    message = str(caught.value)
    assert "READMIT_ISSUERS" in message
    assert element in message
    assert "canary" not in message


def test_a_client_needs_a_key_that_it_may_sign_with(read, tmp_path):
    key = new_key("ES256").as_dict(private=False)
    (tmp_path / "batch.json").write_bytes(msgspec.json.encode({"keys": [key]}))
    with pytest.raises(SettingsError, match="RS384 or ES384"):
        read(CLIENT)


def test_a_file_that_is_not_there_is_said_to_be(tmp_path):
    with pytest.raises(SettingsError, match="READMIT_ISSUERS: No such file"):
        read_trusted(Settings(issuers=tmp_path / "absent.toml"))


@pytest.mark.parametrize(
    "url", ["http://readmit.example", "https://readmit.example/", "readmit.example", "https://a b"]
)
def test_the_services_own_url_is_an_origin_that_callers_can_trust(url):
    with pytest.raises(ValueError, match="public_url"):
        Settings(public_url=url)


def test_the_services_own_url_is_this_machines_where_none_is_set():
    assert Settings(port=8123).own_url == "http://127.0.0.1:8123"
    assert Settings(public_url="https://readmit.example").own_url == "https://readmit.example"


def test_the_file_in_the_operators_guide_is_one(tmp_path):
    guide = (Path(__file__).parents[2] / "docs" / "operator.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```toml\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    example = next(one for one in examples if "[[issuer]]" in one)
    key = new_key("ES384").as_dict(private=False)
    (tmp_path / "night-batch.jwks.json").write_bytes(msgspec.json.encode({"keys": [key]}))
    (tmp_path / "trusted.toml").write_text(example, encoding="utf-8")
    trusted = read_trusted(Settings(issuers=tmp_path / "trusted.toml"))
    assert (len(trusted.issuers), len(trusted.clients)) == (2, 1)
