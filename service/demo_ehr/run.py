"""Running the EHR in a process of its own, which ends with the one that started it."""

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from service.demo_ehr.plan import Plan

_STOPPED_WITHIN_SECONDS: Final = 5.0


def listening(port: int) -> socket.socket:
    """A listening port on loopback; 0 takes a free one.

    Raises:
        OSError: if the port is taken.
    """
    return socket.create_server(("127.0.0.1", port), backlog=128)


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def beside(plan: Plan, listener: socket.socket) -> Iterator[None]:
    """The EHR, running beside whatever the block does, and stopped at its end."""
    # Not forked: the libraries of the model have threads that a fork would leave behind.
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=_run, args=(plan, listener), name="demo-ehr", daemon=True)
    child.start()
    listener.close()
    try:
        yield
    finally:
        child.terminate()
        child.join(_STOPPED_WITHIN_SECONDS)


def _run(plan: Plan, listener: socket.socket) -> None:
    import uvicorn

    from service.demo_ehr.app import create_app

    threading.Thread(target=_end_with_parent, daemon=True).start()
    config = uvicorn.Config(
        create_app(plan),
        access_log=False,
        log_level="warning",
        server_header=False,
        ws="none",
        proxy_headers=False,
        lifespan="on",
    )
    uvicorn.Server(config).run(sockets=[listener])


def _end_with_parent() -> None:
    """Stop when the parent is gone, however it went: nothing of the demo stays behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
