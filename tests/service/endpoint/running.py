"""The endpoint's app behind a real socket, in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from patience import PATIENCE_S, wait_for
from tiny_model import Shelf

from service.api.access import Access
from service.endpoint.app import create_app
from service.endpoint.config import EndpointConfig
from service.endpoint.engine import Engine
from service.endpoint.watcher import Watcher


@contextmanager
def running(shelf: Shelf, predictor: Any, access: Access | None = None) -> Iterator[str]:
    """Its address, HOST:PORT."""
    config = EndpointConfig(max_body_mb=4, max_points=50_000, max_image_mpx=0.5, max_batch_size=4, timeout_s=PATIENCE_S)
    engine = Engine(Watcher("tiny", shelf, config, load=lambda _: predictor), config)
    server = uvicorn.Server(uvicorn.Config(create_app(engine, access), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
