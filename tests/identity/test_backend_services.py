"""A registered system gets a token with its own signature: for what it may do, and for minutes."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from doors import OWN_URL, Door, assertion, client_table, door
from each_database import database_in, on_sqlite_alone
from joserfc import jwt
from joserfc.jwk import KeySet
from openid_provider import Key, new_key, openid_provider, signed

from service.database.engine import Database
from service.identity.backend_services import TokenRequestError
from service.identity.errors import UnauthenticatedError
from service.identity.signing import LIFETIME_SECONDS, ROTATED_AFTER_DAYS, SigningKeys
from service.protection.keys import KeysError, new_keys

ASKED = "system/RiskAssessment.rs"


pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture(scope="module")
def key() -> Key:
    return new_key("ES384")


@pytest.fixture
def here(tmp_path: Path, key: Key) -> Iterator[Door]:
    table = client_table(tmp_path, "night-batch", key, "system/RiskAssessment.crs")
    with door(tmp_path, table) as opened:
        yield opened


def refused(here: Door, proof: str, scope: str = ASKED, **changed: str) -> str:
    with pytest.raises(TokenRequestError) as caught:
        here.issue(proof, scope, **changed)
    assert str(caught.value) == caught.value.code
    return caught.value.code


def test_a_system_gets_a_token_that_the_service_accepts(here: Door, key: Key) -> None:
    issued = here.issue(assertion(key, here.now), ASKED)
    assert (issued.token_type, issued.expires_in, issued.scope) == ("bearer", 300, ASKED)
    caller = here.caller(issued.access_token)
    assert caller.is_system
    assert (caller.issuer, caller.subject, caller.client) == (OWN_URL, "night-batch", "night-batch")
    assert caller.may("RiskAssessment", "r")
    assert not caller.may("RiskAssessment", "c")


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
def test_both_algorithms_of_the_specification_will_do(tmp_path: Path, algorithm: str) -> None:
    key = new_key(algorithm)
    table = client_table(tmp_path, "night-batch", key, "system/*.rs")
    with door(tmp_path, table) as here:
        assert here.issue(assertion(key, here.now), ASKED)


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("system/RiskAssessment.r", "system/RiskAssessment.r"),
        ("system/RiskAssessment.read", "system/RiskAssessment.rs"),
        ("system/*.*", "system/RiskAssessment.crs"),
        ("system/*.cruds system/AuditEvent.rs", "system/RiskAssessment.crs"),
        ("openid system/RiskAssessment.s", "system/RiskAssessment.s"),
    ],
)
def test_what_is_granted_was_both_asked_for_and_allowed(
    here: Door, key: Key, asked: str, granted: str
) -> None:
    assert here.issue(assertion(key, here.now), asked).scope == granted


@pytest.mark.parametrize(
    "asked",
    ["", "system/AuditEvent.rs", "user/RiskAssessment.rs", "system/RiskAssessment.u", "launch"],
)
def test_where_nothing_is_both_asked_for_and_allowed_there_is_no_token(
    here: Door, key: Key, asked: str
) -> None:
    assert refused(here, assertion(key, here.now), asked) == "invalid_scope"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "another", "sub": "another"},
        {"iss": "another"},
        {"sub": "another"},
        {"sub": None},
        {"aud": OWN_URL},
        {"aud": "https://ehr.example/token"},
        {"aud": None},
        {"jti": None},
        {"exp": None},
    ],
)
def test_an_assertion_that_is_not_as_specified_is_refused(
    here: Door, key: Key, changed: dict[str, Any]
) -> None:
    assert refused(here, assertion(key, here.now, **changed)) == "invalid_client"


@pytest.mark.parametrize(
    ("seconds", "accepted"), [(300, True), (360, True), (361, False), (-59, True), (-61, False)]
)
def test_an_assertion_ends_within_five_minutes(
    here: Door, key: Key, seconds: int, accepted: bool
) -> None:
    proof = assertion(key, here.now, exp=here.now + seconds)
    if accepted:
        assert here.issue(proof, ASKED)
    else:
        assert refused(here, proof) == "invalid_client"


def test_an_assertion_is_used_once(here: Door, key: Key) -> None:
    proof = assertion(key, here.now)
    here.issue(proof, ASKED)
    assert refused(here, proof) == "invalid_client"


def test_an_assertion_signed_by_another_is_refused(here: Door, key: Key) -> None:
    stranger = new_key("ES384", kid=str(key.kid))
    assert refused(here, assertion(stranger, here.now)) == "invalid_client"
    assert refused(here, assertion(new_key("ES256"), here.now)) == "invalid_client"


def test_a_key_that_an_assertion_points_to_is_not_fetched(here: Door, key: Key) -> None:
    with openid_provider("ES384") as hostile:
        header = {"jku": hostile.jwks_uri, "kid": hostile.key.kid}
        assert refused(here, assertion(hostile.key, here.now, header)) == "invalid_client"
        assert sum(hostile.requests.values()) == 0


def test_a_system_may_publish_its_keys_and_point_to_them(tmp_path: Path) -> None:
    with openid_provider("ES384") as system:
        table = (
            '[[client]]\nclient_id = "night-batch"\nscopes = "system/*.rs"\n'
            f'jwks_uri = "{system.jwks_uri}"\n'
        )
        with door(tmp_path, table) as here:
            pointed = assertion(system.key, here.now, {"jku": system.jwks_uri})
            assert here.issue(pointed, ASKED)
            astray = assertion(system.key, here.now, {"jku": system.issuer})
            assert refused(here, astray) == "invalid_client"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
        ({"client_assertion_type": "jwt-bearer"}, "invalid_client"),
        ({"client_assertion": ""}, "invalid_client"),
        ({"client_id": "another"}, "invalid_client"),
    ],
)
def test_a_request_in_another_form_is_refused_with_oauths_code(
    here: Door, key: Key, changed: dict[str, str], code: str
) -> None:
    assert refused(here, assertion(key, here.now), **changed) == code


def test_what_was_given_is_in_the_audit_and_what_was_refused_uses_nothing_up(
    here: Door, key: Key
) -> None:
    proof = assertion(key, here.now)
    refused(here, proof, "system/AuditEvent.rs")
    here.issue(proof, ASKED)
    with here.database.reading() as connection:
        found = connection.exec_driver_sql("SELECT event, actor, details FROM audit_entries")
        rows = [tuple(row) for row in found]
    assert rows == [("token_issued", "night-batch", '{"scopes":"system/RiskAssessment.rs"}')]


def test_a_token_ends_after_five_minutes(here: Door, key: Key) -> None:
    token = here.issue(assertion(key, here.now), ASKED).access_token
    here.now += LIFETIME_SECONDS + 59
    assert here.caller(token)
    here.now += 2
    with pytest.raises(UnauthenticatedError):
        here.caller(token)


def test_a_system_that_is_struck_off_is_out_at_once(tmp_path: Path, key: Key) -> None:
    with door(tmp_path, client_table(tmp_path, "night-batch", key, "system/*.rs")) as here:
        token = here.issue(assertion(key, here.now), ASKED).access_token
        here.caller(token)
        here.trusted.clients.clear()
        with pytest.raises(UnauthenticatedError):
            here.caller(token)


def test_what_the_service_signs_for_others_is_no_token_for_itself(here: Door) -> None:
    claims = {"iss": OWN_URL, "sub": "night-batch", "aud": OWN_URL, "scope": ASKED}
    with pytest.raises(UnauthenticatedError):
        here.caller(here.signing.sign(claims, "JWT"))
    assert here.caller(here.signing.sign(claims, "at+jwt"))


# The service's own keys.


def test_a_token_can_be_verified_with_what_is_published(here: Door, key: Key) -> None:
    token = here.issue(assertion(key, here.now), ASKED).access_token
    published = here.signing.published()
    assert all("d" not in one for one in published)
    keys = KeySet.import_key_set(msgspec.json.decode(msgspec.json.encode({"keys": published})))
    assert jwt.decode(token, keys, algorithms=["ES384"]).claims["sub"] == "night-batch"


def test_after_a_rotation_old_tokens_are_good_until_they_end(here: Door, key: Key) -> None:
    before = here.issue(assertion(key, here.now), ASKED).access_token
    here.now += 1
    kid = here.signing.rotate()
    after = here.issue(assertion(key, here.now), ASKED).access_token
    assert here.caller(before)
    assert here.caller(after)
    assert here.signing.published()[0]["kid"] == kid
    assert len(here.signing.published()) == 2
    here.now += LIFETIME_SECONDS + 61
    assert [one["kid"] for one in here.signing.published()] == [kid]


def test_a_key_that_has_signed_for_three_months_is_replaced(here: Door) -> None:
    (old,) = here.signing.published()
    here.now += ROTATED_AFTER_DAYS * 86_400
    assert here.signing.published() == [old]
    here.now += 1
    new, _ = here.signing.published()
    assert new["kid"] != old["kid"]


def test_workers_share_the_keys_and_find_new_ones_at_once(here: Door) -> None:
    other = SigningKeys(here.database, here.keys, lambda: here.now)
    assert here.signing.published() == other.published()
    here.now += 1
    kid = other.rotate()
    assert asyncio.run(here.signing.matching(kid, "ES384")) is not None
    assert asyncio.run(here.signing.matching("made-up", "ES384")) is None
    assert asyncio.run(here.signing.matching(kid, "ES256")) is None


def test_workers_that_start_at_once_make_one_key(here: Door, tmp_path: Path) -> None:
    gate = threading.Barrier(8)

    def start(_: int) -> list[str]:
        database = Database(database_in(tmp_path))
        with database.reading() as connection:  # connected, so that they meet at the key
            connection.exec_driver_sql("SELECT 1")
        gate.wait(timeout=60)
        found = SigningKeys(database, here.keys, lambda: here.now).published()
        database.close()
        return [str(one["kid"]) for one in found]

    with ThreadPoolExecutor(8) as workers:
        published = list(workers.map(start, range(8)))
    assert published == [published[0]] * 8
    assert len(published[0]) == 1


@on_sqlite_alone
def test_private_keys_are_sealed_in_the_database(here: Door, tmp_path: Path) -> None:
    here.signing.published()
    private = here.signing._read()[0].pair.as_dict(private=True)["d"]
    with sqlite3.connect(tmp_path / "readmit.db") as raw:
        content = "\n".join(raw.iterdump()).encode()
    raw.close()
    assert str(private).encode() not in content
    assert (tmp_path / "readmit.db").read_bytes().find(str(private).encode()) == -1


def test_a_key_that_was_planted_in_the_database_is_found_out(here: Door, key: Key) -> None:
    """Whoever can write there, but has not the operator's keys, cannot sign for the service."""
    here.signing.published()
    planted = SigningKeys(here.database, new_keys(), lambda: here.now + 1)
    with pytest.raises(KeysError):
        planted.published()
    planted.rotate()
    with pytest.raises(KeysError):
        SigningKeys(here.database, here.keys, lambda: here.now).published()


def test_a_token_that_is_signed_with_a_clients_own_key_is_none(here: Door, key: Key) -> None:
    claims = {
        "iss": OWN_URL,
        "aud": OWN_URL,
        "sub": "night-batch",
        "scope": ASKED,
        "exp": here.now + 300,
    }
    with pytest.raises(UnauthenticatedError):
        here.caller(signed(claims, key))
