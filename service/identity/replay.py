"""What is kept of a token that may be used once: a hash of its ``jti``, until it has expired.

Whoever accepts such a token enters it in the database (``seen_tokens``) in a transaction; of two
that come at once, to whichever workers, the database refuses the second.
"""

import hashlib
from typing import Final

from service.database.seen_tokens import SeenToken
from service.identity.signed_tokens import SKEW_SECONDS, SignedToken, refuse

LONGEST_ID: Final = 512
"""Characters of a ``jti``; issuers use some forty."""


def seen(token: SignedToken) -> SeenToken:
    """What to enter of a verified token.

    Raises:
        UnauthenticatedError: if it has no ``jti``: nothing tells its second use from its first.
    """
    claims = token.claims
    if not claims.jti or len(claims.jti) > LONGEST_ID:
        refuse("claims")
    digest = hashlib.sha256(claims.jti.encode()).hexdigest()
    return SeenToken(claims.iss, digest, round((claims.exp + SKEW_SECONDS) * 1_000_000))
