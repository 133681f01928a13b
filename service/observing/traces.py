"""One OpenTelemetry span a request: its method, its route's template, its status. Nothing else.

Only the API is used. Without an SDK that the operator configures (``OTEL_...``) nothing is
recorded. OpenTelemetry's own instrumentation of FastAPI is not: it writes URLs with their query,
and so patients' ids, into spans.
"""

from contextlib import AbstractContextManager
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers

from service.observing.logs import Template

_TRACEPARENT: Final = "traceparent"
_PARENT: Final = TraceContextTextMapPropagator()

tracer = trace.get_tracer("readmit")


def begin(method: str, headers: Headers) -> Span:
    """Begin the span of a request, within the caller's trace if it names one (W3C Trace Context).

    Of the trace's context only ``traceparent`` is taken, which is made of numbers: ``tracestate``
    and ``baggage`` may hold anything, and would go on to wherever spans are sent.
    """
    parent = headers.get(_TRACEPARENT)
    context = None if parent is None else _PARENT.extract({_TRACEPARENT: parent})
    return tracer.start_span(method, context, SpanKind.SERVER)


def within(span: Span) -> AbstractContextManager[Span]:
    """Make a span the current one. An error that passes through leaves nothing in it."""
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)


def end(span: Span, method: str, route: Template, status: int | None) -> None:
    """Say what became of the request, and end its span."""
    if span.is_recording():
        span.update_name(f"{method} {route}")
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.route", str(route))
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        if status is None or status >= 500:
            span.set_status(StatusCode.ERROR)
    span.end()
