"""Moving windows: never more than allowed in any minute, and never more memory than allowed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.identity.caller import DEVELOPER, Caller
from service.problems import RateError
from service.settings import Settings
from service.surroundings import limits
from service.surroundings.limits import MovingWindow, Rates


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(
    most=st.integers(1, 5),
    pauses=st.lists(st.floats(0, 40, allow_nan=False), min_size=1, max_size=60),
)
def test_in_no_minute_more_is_let_through_than_allowed(most: int, pauses: list[float]) -> None:
    clock = Clock()
    window = MovingWindow(most, clock)
    let_through: list[float] = []
    for pause in pauses:
        clock.now += pause
        if window.wait("a") == 0:
            window.add("a")
            let_through.append(clock.now)
    for moment in let_through:
        assert sum(moment <= other < moment + 60 for other in let_through) <= most


@given(most=st.integers(1, 5), pauses=st.lists(st.floats(0, 40), min_size=1, max_size=60))
def test_whoever_waits_as_long_as_told_is_let_through(most: int, pauses: list[float]) -> None:
    clock = Clock()
    window = MovingWindow(most, clock)
    for pause in pauses:
        clock.now += pause
        wait = window.wait("a")
        assert 0 <= wait <= 60
        clock.now += wait + 1e-6
        assert window.wait("a") == 0
        window.add("a")


def test_a_flood_of_addresses_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEYS", 100)
    window = MovingWindow(60, Clock())
    for number in range(10_000):
        window.add(str(number))
        window.add("steady")
    assert len(window) == 100
    assert window.wait("steady") > 0, "whoever keeps on is not forgotten"


def test_what_was_long_ago_takes_no_memory() -> None:
    clock = Clock()
    window = MovingWindow(1, clock)
    window.add("a")
    clock.now = 61
    assert window.wait("a") == 0
    assert len(window) == 0


def test_each_caller_has_a_window_of_their_own() -> None:
    rates = Rates(Settings(requests_per_minute=1), Clock())
    system = Caller(way="bearer", issuer="a", subject="bc")
    # The same letters, otherwise divided.
    other = Caller(way="bearer", issuer="ab", subject="c")
    for caller in (DEVELOPER, system, other):
        rates.take(caller)
        with pytest.raises(RateError) as caught:
            rates.take(caller)
        assert (caught.value.kind, caught.value.seconds) == ("caller", 60)


@pytest.mark.parametrize("most", [0, -1])
def test_a_limit_that_lets_nobody_in_is_no_setting(most: int) -> None:
    for name in ("requests_per_minute", "failed_identifications_per_minute"):
        with pytest.raises(ValueError, match="greater than or equal"):
            Settings(**{name: most})  # type: ignore[arg-type]  # the point of the test


def test_a_window_is_of_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    window: Any = MovingWindow(1, Clock())
    window.add("a")
    assert window.wait("a") == 60
    assert window.wait("b") == 0
