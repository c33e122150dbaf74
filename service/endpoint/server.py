"""`serve`: put the champion of one experiment behind a URL, for the length of a `with`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2

from fusegpt.config import SettingError
from service.api.access import Access
from service.cluster.local_ray import connect
from service.endpoint import board, ingress
from service.endpoint.champion import Champions, Predictor, RegistryChampions, load_predictor
from service.endpoint.config import EndpointConfig
from service.endpoint.replica import Replica
from service.endpoint.rpc.choice import wrong_grpc
from service.settings import Settings

START_S = 60.0
SERVICER = "service.endpoint.rpc.service.add_to_server"


@dataclass(frozen=True)
class Endpoint:
    """A running endpoint."""

    url: str
    name: str
    grpc: str = ""  # HOST:PORT of the Open Inference Protocol over gRPC; empty where it is off


@contextmanager
def serve(
    settings: Settings,
    name: str,
    config: EndpointConfig | None = None,
    champions: Callable[[], Champions] | None = None,
    load: Callable[[Path], Predictor] | None = None,
) -> Iterator[Endpoint]:
    """Serve the champion of `name` at FUSEGPT_HOST:FUSEGPT_PORT, over gRPC too where FUSEGPT_GRPC_PORT is set.

    At the end nothing of it is left running.

    It comes up without a champion too, and answers 503 until one is promoted. `champions` and `load` stand for the
    registry and the library's predictor. Raises ClusterUnreachable, OSError naming the port where it is taken, and
    SettingError where it would listen beyond this machine without FUSEGPT_TOKENS, or where the wanted engine or gRPC
    is not installed.
    """
    config = config or EndpointConfig()
    _check_engine(config)
    if wrong := wrong_grpc(settings):
        raise SettingError(wrong)
    device = "cuda" if config.gpus_per_replica else "cpu"
    replica = (
        name,
        champions or partial(RegistryChampions, settings, name),
        config,
        load or partial(load_predictor, device=device, engine=config.engine),
        Access(settings, "endpoint"),
        settings.grpc_port is not None,
    )
    http = _port("FUSEGPT_PORT", settings.host, settings.port)
    grpc = 0 if settings.grpc_port is None else _port("FUSEGPT_GRPC_PORT", settings.host, settings.grpc_port)
    with (
        ingress.prepared(settings.home / "ingress", config.keep_bytes, config.max_body_bytes) as behind_haproxy,
        connect(settings, serve=behind_haproxy) as cluster,
    ):
        _start(settings.host, http, grpc)
        _deploy(name, config, replica)
        try:
            host = _reachable(settings.host)
            url = f"http://{host}:{http}"
            _wait_until_it_answers(url, partial(_answers_http, url))
            address = f"{host}:{grpc}" if grpc else ""
            if address:
                _wait_until_it_answers(address, partial(_answers_grpc, address))
            yield Endpoint(url, name, address)
        finally:
            if not cluster.local:
                _delete(name)


def _check_engine(config: EndpointConfig) -> None:
    if config.engine == "openvino" and find_spec("openvino") is None:
        raise SettingError(
            "endpoint.engine: openvino is not installed here; pip install 'fusegpt[openvino]', or set it to auto"
        )


def _port(variable: str, host: str, port: int) -> int:
    """The port to listen on, after seeing that it is free."""
    try:
        return ingress.free_port(host, port)
    except OSError as error:
        wrong = f"{variable}: {host}:{port} cannot be listened on ({error.strerror})"
        raise OSError(error.errno, f"{wrong}; choose another, or 0 for a free one") from None


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host


def _start(host: str, http: int, grpc: int) -> None:
    """Ray Serve, listening for HTTP, and for gRPC where its port is not 0. Reflection would answer without a token."""
    from ray import serve as ray_serve

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    options = {"port": grpc, "grpc_servicer_functions": [SERVICER], "enable_reflection": False}
    ray_serve.start(
        http_options={"host": host, "port": http, "location": "HeadOnly"}, grpc_options=options if grpc else None
    )


def _deploy(name: str, config: EndpointConfig, replica: tuple[Any, ...]) -> None:
    from ray import serve as ray_serve

    deployment = ray_serve.deployment(ray_serve.ingress()(Replica)).options(
        name=name,
        num_replicas=config.num_replicas,
        ray_actor_options={"num_cpus": config.cpus_per_replica, "num_gpus": config.gpus_per_replica},
        # Ours is the limit that answers with a reason; Serve's only bounds what is being read at once.
        max_ongoing_requests=4 * config.max_queue,
        graceful_shutdown_timeout_s=config.timeout_s,
        graceful_shutdown_wait_loop_s=0.1,
    )
    ray_serve.run(deployment.bind(*replica), name=name, route_prefix="/")


def _delete(name: str) -> None:
    from ray import serve as ray_serve

    ray_serve.delete(name)
    board.remove(name)


def _wait_until_it_answers(what: str, answers: Callable[[], bool]) -> None:
    """Serve is up a moment before its proxy knows the route."""
    deadline = time.monotonic() + START_S
    while not answers():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the endpoint at {what} did not answer within {START_S:g} s")
        time.sleep(0.1)


def _answers_http(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/healthz", timeout=5.0).status_code == 200
    except httpx2.TransportError:
        return False


def _answers_grpc(address: str) -> bool:
    from service.endpoint.rpc.service import is_live

    return is_live(address)
