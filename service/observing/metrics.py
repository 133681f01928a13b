"""What a running service counts (Prometheus). Every label is from a closed set.

Routes are templates, statuses are classes, bands and versions are the model's: no URL, no caller
and no patient can become a label. The numbers are of one process; ask each of several.
"""

import platform
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from service.observing.logs import DROPPED, Template
from service.score import Score, Scored

if TYPE_CHECKING:
    from training.risk_model import RiskModel

MEDIA_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper ends of the latency's classes: from a health check to a body that hardly arrives."""

Refusal = Literal[
    "not_identified", "not_allowed", "misdirected", "caller_too_often", "address_too_often"
]


class Build(NamedTuple):
    """What is running."""

    version: str
    mode: str


class Metrics:
    """The counters of one app."""

    def __init__(self, build: Build) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Histogram(
            "readmit_request_seconds",
            "Requests, and how long each took.",
            ("method", "route", "status"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._scores = Counter(
            "readmit_scores",
            "Scores given, and stays that the model is not meant for.",
            ("status", "band", "model", "version"),
            registry=self.registry,
        )
        self._refusals = Counter(
            "readmit_refusals",
            "Requests refused for who asked, by which way, or how often.",
            ("kind",),
            registry=self.registry,
        )
        self._events = Gauge(
            "readmit_events",
            "Events received and resources to be written back, by what became of them.",
            ("of", "server", "state"),
            registry=self.registry,
        )
        self._model = Gauge(
            "readmit_model",
            "The risk model that is loaded: always 1; absent without one.",
            ("model", "version", "fingerprint"),
            registry=self.registry,
        )
        Gauge(
            "readmit_build",
            "What is running: always 1.",
            ("version", "python", "mode"),
            registry=self.registry,
        ).labels(build.version, platform.python_version(), build.mode).set(1)

    def answered(self, method: str, route: Template, status: int | None, seconds: float) -> None:
        """Count a request; without a status, one whose caller went away."""
        group = "none" if status is None else f"{status // 100}xx"
        self._requests.labels(method, route, group).observe(seconds)

    def refused(self, kind: Refusal) -> None:
        """Count a refusal."""
        self._refusals.labels(kind).inc()

    def scored(self, score: Score) -> None:
        """Count an answer about a stay."""
        band = score.band if isinstance(score, Scored) else "none"
        self._scores.labels(score.status, band, score.model.name, score.model.version).inc()

    def events(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        """Say how many events and resources there are, by table, server's name and state."""
        self._events.clear()
        for labels, count in counts.items():
            self._events.labels(*labels).set(count)

    def loaded(self, model: "RiskModel") -> None:
        """Say which model answers."""
        self._model.clear()
        self._model.labels(model.name, model.version, model.fingerprint[:16]).set(1)

    def watch(self, audit_failures: Callable[[], int]) -> None:
        """Add what others count, read when it is asked for."""
        self.registry.register(_Watched(audit_failures))

    def exposition(self) -> bytes:
        """All numbers in Prometheus' text format."""
        return generate_latest(self.registry)


class _Watched(Collector):
    def __init__(self, audit_failures: Callable[[], int]) -> None:
        self._audit_failures = audit_failures

    def collect(self) -> Iterable[CounterMetricFamily]:
        for name, meaning, count in (
            (
                "readmit_audit_failures",
                "Recorded transactions that failed, and whose answers were refused.",
                self._audit_failures(),
            ),
            (
                "readmit_log_fields_dropped",
                "Fields that were on no list and left out of log lines.",
                DROPPED.fields,
            ),
            (
                "readmit_log_lines_lost",
                "Log lines that could not be written.",
                DROPPED.lines,
            ),
        ):
            yield CounterMetricFamily(name, meaning, value=count)
