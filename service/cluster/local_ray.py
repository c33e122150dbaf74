"""A Ray to run on: the cluster at RAY_ADDRESS, or else a Ray of our own on this machine.

Our own lives in a process beside us (`service.cluster.head`) that ends when we do, however that happens. It takes free
ports, a session folder of its own and a token of its own that is nowhere on disk, so it stands beside any other Ray of
this host; and its address, known before we connect, is given to every worker: Ray's own clean-up of stopped trainings
cannot tell two clusters on a host apart without it.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from service.errors import ClusterUnreachable
from service.settings import Settings

CONNECT_SECONDS = 10.0
START_SECONDS = 120.0
STOP_SECONDS = 30.0

# Ray's switches, for the processes that it starts on the workers. It looks at nothing but its environment.
WORKER_ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",  # the default of 2 s is paid once at the start and at the end
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths of the data stay what they are
}


@dataclass(frozen=True)
class Cluster:
    """A Ray that this process is connected to. `dashboard_url` is empty where there is no dashboard."""

    address: str
    dashboard_url: str
    local: bool


@contextmanager
def connect(
    settings: Settings, *, serve: bool = False, dashboard: bool = False, cpus: float | None = None, first: str = ""
) -> Iterator[Cluster]:
    """Connect this process to Ray for the length of a `with`.

    serve:     prepare it for Ray Serve behind HAProxy (our own Ray only), with the dashboard's REST interface.
    dashboard: start the dashboard (our own Ray only); Ray Train cleans up after a killed trial through it.
    cpus:      how many CPUs our own Ray may give away; all of this machine by default.
    first:     "module.function" that every process of this driver's actors and tasks calls when it starts.
    Raises ClusterUnreachable within CONNECT_SECONDS where RAY_ADDRESS names no cluster.
    """
    if settings.ray_address:
        with ThreadPoolExecutor(1) as asking:
            answered = asking.submit(probe, settings.ray_address)
            import ray  # noqa: F401  # takes as long as the answer

            answered.result()
        with _joined(settings.ray_address, first) as url:
            yield Cluster(settings.ray_address, url, local=False)
        return
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with _environment(token), _head(serve, dashboard, cpus) as started, _joined(started["address"], first):
        yield Cluster(started["address"], started["dashboard_url"], local=True)


def probe(address: str) -> None:
    """Ask quickly whether a Ray cluster answers at this address.

    Raises ClusterUnreachable. Ray itself would retry for 40 s and then end the process, so a process is asked that may
    be lost.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ClusterUnreachable(f"RAY_ADDRESS: {address!r} is no address of a Ray head; write host:6379")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS / 2).close()
    except OSError as error:
        raise ClusterUnreachable(f"RAY_ADDRESS: nothing answers at {address} ({error})") from None
    ask = [sys.executable, "-c", "import sys, ray._raylet as r; r.GcsClient(address=sys.argv[1])", address]
    try:
        said = subprocess.run(ask, capture_output=True, timeout=CONNECT_SECONDS, check=True).stderr
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", None) or b""
        if b"InvalidAuthToken" in said or b"Unauthenticated" in said:
            cause = "it asks for another token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to the cluster's"
        else:
            cause = "what listens there is no Ray head, or a Ray of another version"
        raise ClusterUnreachable(f"RAY_ADDRESS: {address} does not answer as a Ray cluster: {cause}") from None


def is_connected() -> bool:
    """Whether this process is connected to a Ray."""
    ray = sys.modules.get("ray")  # not imported for the question: `connect` has something to do meanwhile
    return ray is not None and ray.is_initialized()


def worker_environment(address: str, first: str) -> dict[str, Any]:
    """What the processes of a driver's actors and tasks get beside its own variables, as Ray's runtime_env."""
    variables = {"env_vars": {"RAY_ADDRESS": address, **WORKER_ENVIRONMENT}}
    return {**variables, **({"worker_process_setup_hook": first} if first else {})}


@contextmanager
def _joined(address: str, first: str) -> Iterator[str]:
    """This process as a driver of the cluster; yields the URL of its dashboard, or nothing."""
    import ray
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    # Ray reads its switches when it is imported; a process may connect again, with another token.
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
    context = ray.init(
        address=address,
        runtime_env=worker_environment(address, first),
        log_to_driver=False,
        logging_level="ERROR",
    )
    try:
        yield f"http://{context.dashboard_url}" if context.dashboard_url else ""
    finally:
        ray.shutdown()


@contextmanager
def _head(serve: bool, dashboard: bool, cpus: float | None) -> Iterator[dict[str, str]]:
    """A Ray of our own; yields what its process said of it. It is gone, with all its processes, at the end."""
    command = [sys.executable, "-m", "service.cluster.head"]
    command += ["--serve"] * serve + ["--dashboard"] * dashboard + ([f"--cpus={cpus}"] if cpus is not None else [])
    with tempfile.TemporaryFile() as log:
        # A session of its own: ctrl-C in the terminal is for us, and Ray must outlive it until the trials are stopped.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
        try:
            yield _answer(process, log)
        finally:
            _close(process)


def _answer(process: subprocess.Popen[bytes], log: IO[bytes]) -> dict[str, str]:
    """The line that the head prints once Ray stands. Raises ClusterUnreachable with its last words."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if line:
        answer: dict[str, str] = json.loads(line)
        return answer
    process.wait(START_SECONDS)
    log.seek(0)
    words = log.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
    raise ClusterUnreachable(f"Ray did not start on this machine: {words[-1]}")


def _close(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()  # the kernel ends Ray's own processes with it
        process.wait()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """The environment with some variables set: for Ray, which is told its token in no other way."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
