"""What a system is granted is what it asked for and what it is allowed: no more, and no less."""

from hypothesis import given
from hypothesis import strategies as st

from service.identity.scopes import Scope, common, granted, parse_scopes

RESOURCES = ("RiskAssessment", "AuditEvent", "Consent")
PERMISSIONS = st.sets(st.sampled_from("cruds"), min_size=1).map(
    lambda letters: "".join(letter for letter in "cruds" if letter in letters)
)
SCOPES = st.lists(
    st.builds(
        Scope, st.sampled_from(("system", "user")), st.sampled_from((*RESOURCES, "*")), PERMISSIONS
    ),
    max_size=4,
)


@given(SCOPES, SCOPES, st.sampled_from(RESOURCES), st.sampled_from("cruds"))
def test_an_access_is_granted_exactly_where_both_sides_grant_it(asked, allowed, resource, letter):
    for context in ("system", "user"):
        both, one, other = (
            granted([scope for scope in some if scope.context == context], resource, letter)
            for some in (common(asked, allowed), asked, allowed)
        )
        assert both == (one and other)


@given(SCOPES, SCOPES)
def test_what_is_granted_can_be_written_and_read_again(asked, allowed):
    scopes = common(asked, allowed)
    assert parse_scopes(" ".join(map(str, scopes))) == scopes
