"""The service with a real issuer."""

from collections.abc import Iterator

import pytest
from trusting_service import Service, trusting_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with trusting_service(tmp_path_factory.mktemp("service")) as running:
        yield running
