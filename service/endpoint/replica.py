"""`Replica`: what Ray Serve runs, once per process: the whole endpoint, from the bytes to the answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI

from service.api.access import Access
from service.endpoint.app import create_app
from service.endpoint.board import RayPeers
from service.endpoint.champion import Champions, Predictor
from service.endpoint.config import EndpointConfig
from service.endpoint.engine import Engine
from service.endpoint.rpc.remote import RemoteCalls
from service.endpoint.watcher import Watcher


class Replica(RemoteCalls):
    """Routes, batching and model in one process: between them nothing is copied or serialised."""

    def __init__(
        self,
        name: str,
        champions: Callable[[], Champions],
        config: EndpointConfig,
        load: Callable[[Path], Predictor],
        access: Access,
        grpc: bool = False,
    ) -> None:
        import torch

        torch.set_num_threads(max(1, int(config.cpus_per_replica)))
        peers = RayPeers(name) if config.num_replicas > 1 else None
        self._access = access
        self._engine = Engine(Watcher(name, champions(), config, load), config, peers)
        if grpc:
            from service.endpoint.rpc.calls import Calls

            self.calls = Calls(self._engine, access)

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(self._engine, self._access)
