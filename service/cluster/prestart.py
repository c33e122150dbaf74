"""`prestart`: Ray starts the first trials' processes before Ray Tune asks for them.

A process that a trial gets has Python, Ray, Tune and PyTorch to import, the longest part of the way from a submission
to its first epoch. A raylet takes the request to have one ready; Ray's Python has no word for it. Who submits a driver
asks (`prestart_for_driver`), so that they come up beside it; else the driver does, while it imports Ray Tune.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fusegpt.experiment import Resources
from service.cluster.capacity import workers_that_fit
from service.cluster.local_ray import worker_environment

log = logging.getLogger("fusegpt.cluster")

WARM = f"{__name__}.warm"
# What Tune adds to the environment of a trial's process; one with another environment is not taken.
TUNE_SETS = {"PL_DISABLE_FORK": "1"}
TUNE_HANDS_ON = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
# Tells a driver which environment the processes have that were started before it: it asks for others where its own is
# another, for one that Ray finds different is not taken.
STARTED_AHEAD = "FUSEGPT_STARTED_AHEAD"
KEEP_S = 60  # how long Ray keeps a process that no trial has come for
ASK_S = 2.0


@dataclass(frozen=True)
class Raylet:
    """Ray's process on a node, and what the node has: {"CPU": ..., "GPU": ...}."""

    host: str
    port: int
    has: Mapping[str, float]


def warm() -> None:
    """Import what a trial needs; Ray calls it in each new process of a search before its first task."""
    with suppress(Exception):  # the trial will fail by it too, and say so
        from fusegpt.training import loop  # noqa: F401
        from service.cluster import trainable  # noqa: F401


def prestart(resources: Resources, trials: int) -> None:
    """Have a process ready for each of the first `trials` trials of one worker, on every node at most one.

    Only saves time: where Ray cannot do it, the trials start as they would have. Does nothing where who submitted this
    driver has seen to it.
    """
    import ray

    try:
        driver = ray._private.worker.global_worker.core_worker
        environment = _as_tune_has_it(json.loads(driver.get_job_config().runtime_env_info.serialized_runtime_env))
        if os.environ.get(STARTED_AHEAD) != _digest(environment):
            nodes = [node for node in ray.nodes() if node["Alive"]]
            raylets = [Raylet(each["NodeManagerAddress"], each["NodeManagerPort"], each["Resources"]) for each in nodes]
            _start(raylets, resources, trials, environment)
    except Exception as error:
        log.debug("no process was started ahead: %s", error)


def prestart_for_driver(
    raylets: Iterable[Raylet], address: str, submitted: Mapping[str, str], resources: Resources, trials: int
) -> dict[str, str]:
    """The same for a driver that is about to be submitted with the variables `submitted`; returns these to submit.

    They tell the driver of it. `address` is that of the cluster as its own processes know it. Raises what Ray does
    where its nodes cannot be reached from here.
    """
    from ray._private.ray_constants import WORKER_PROCESS_SETUP_HOOK_ENV_VAR as HOOK

    def of_trials(variables: Mapping[str, str]) -> dict[str, Any]:
        """The environment of the driver's actors, as Ray and Tune put it together."""
        own = worker_environment(address, WARM)
        return _as_tune_has_it({**own, "env_vars": {**variables, **own["env_vars"], HOOK: WARM}})

    told = {**submitted, STARTED_AHEAD: _digest(of_trials(submitted))}
    _start(raylets, resources, trials, of_trials(told))
    return told


def _start(raylets: Iterable[Raylet], resources: Resources, trials: int, environment: Mapping[str, Any]) -> None:
    """Ask each raylet whose node has place for a process, at most `trials` of them."""
    text = json.dumps(environment, sort_keys=True, separators=(",", ":"), ensure_ascii=False)  # Ray compares the text
    for raylet in [raylet for raylet in raylets if workers_that_fit(resources, [raylet.has])][:trials]:
        _ask(raylet, text)


def _ask(raylet: Raylet, environment: str) -> None:
    """Ask a raylet for one more process, in this environment, for whichever job comes first."""
    import ray
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated.common_pb2 import Language
    from ray.core.generated.node_manager_pb2 import PrestartWorkersRequest
    from ray.core.generated.node_manager_pb2_grpc import NodeManagerServiceStub
    from ray.core.generated.runtime_environment_pb2 import RuntimeEnvConfig, RuntimeEnvInfo

    asked = PrestartWorkersRequest(
        language=Language.PYTHON,
        job_id=ray.JobID.nil().binary(),
        runtime_env_info=RuntimeEnvInfo(
            serialized_runtime_env=environment,
            runtime_env_config=RuntimeEnvConfig(setup_timeout_seconds=KEEP_S, eager_install=True),
        ),
        keep_alive_duration_secs=KEEP_S,
        num_workers=1,
    )
    with init_grpc_channel(f"{raylet.host}:{raylet.port}") as line:
        NodeManagerServiceStub(line).PrestartWorkers(asked, timeout=ASK_S)


def _as_tune_has_it(environment: Mapping[str, Any]) -> dict[str, Any]:
    """An environment of a driver's actors with what Tune adds."""
    handed_on = {name: os.environ[name] for name in TUNE_HANDS_ON if name in os.environ}
    return {**environment, "env_vars": {**environment.get("env_vars", {}), **TUNE_SETS, **handed_on}}


def _digest(environment: Mapping[str, Any]) -> str:
    """Of an environment but for the variable that carries this."""
    variables = {name: value for name, value in environment["env_vars"].items() if name != STARTED_AHEAD}
    text = json.dumps({**environment, "env_vars": variables}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
