"""`prestart`: Ray starts the first trials' processes while the driver still imports Ray Tune, which asks for them.

A process that a trial gets has Python, Ray, Tune and PyTorch to import, the longest part of the way from a submission
to its first epoch. A raylet takes the request to have one ready; Ray's Python has no word for it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fusegpt.experiment import Resources
from service.cluster.capacity import workers_that_fit

log = logging.getLogger("fusegpt.cluster")

WARM = f"{__name__}.warm"
# What Tune adds to the environment of a trial's process; one with another environment is not taken.
TUNE_SETS = {"PL_DISABLE_FORK": "1"}
TUNE_HANDS_ON = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
KEEP_S = 60  # how long Ray keeps a process that no trial has come for
ASK_S = 2.0


def warm() -> None:
    """Import what a trial needs; Ray calls it in each new process of a search before its first task."""
    with suppress(Exception):  # the trial will fail by it too, and say so
        from fusegpt.training import loop  # noqa: F401
        from service.cluster import trainable  # noqa: F401


def prestart(resources: Resources, trials: int) -> None:
    """Have a process ready for each of the first `trials` trials of one worker, on every node at most one.

    Only saves time: where Ray cannot do it, the trials start as they would have.
    """
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"] and workers_that_fit(resources, [node["Resources"]])]
    try:
        for node in nodes[:trials]:
            _ask(node)
    except Exception as error:
        log.debug("no process was started ahead: %s", error)


def _ask(node: Mapping[str, Any]) -> None:
    """Ask a node's raylet for one more process, in the environment that Tune's actors of this driver have."""
    import ray
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated.common_pb2 import Language
    from ray.core.generated.node_manager_pb2 import PrestartWorkersRequest
    from ray.core.generated.node_manager_pb2_grpc import NodeManagerServiceStub

    driver = ray._private.worker.global_worker
    asked = PrestartWorkersRequest(
        language=Language.PYTHON,
        job_id=driver.current_job_id.binary(),
        runtime_env_info=driver.core_worker.get_job_config().runtime_env_info,
        keep_alive_duration_secs=KEEP_S,
        num_workers=1,
    )
    environment = asked.runtime_env_info  # a copy
    environment.serialized_runtime_env = _as_tune_has_it(json.loads(environment.serialized_runtime_env))
    with init_grpc_channel(f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}") as line:
        NodeManagerServiceStub(line).PrestartWorkers(asked, timeout=ASK_S)


def _as_tune_has_it(environment: dict[str, Any]) -> str:
    """The driver's environment with what Tune adds, as Ray writes it down: it compares the text."""
    handed_on = {name: os.environ[name] for name in TUNE_HANDS_ON if name in os.environ}
    merged = {**environment, "env_vars": {**environment.get("env_vars", {}), **TUNE_SETS, **handed_on}}
    return json.dumps(merged, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
