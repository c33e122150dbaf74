"""`Dashboard`: the REST interface of a Ray head, as far as jobs need it: nodes, and drivers submitted to the cluster.

Ray's own JobSubmissionClient has no time limits, and takes its address from the environment whatever it is given.
"""

from __future__ import annotations

import time
from typing import Any, Literal
from urllib.parse import quote

import httpx2

from service.cluster.prestart import Raylet
from service.errors import ClusterUnreachable
from service.settings import Settings

PORT = 8265
TIMEOUT_S = 10.0
SUBMIT_S = 60.0  # a head that has just started, or has much to do, takes its time
FRESH_S = 3.0
MANY_NODES = 10_000

# What Ray calls the states of a driver, and what it says of one that it does not know.
DriverState = Literal["PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED", "UNKNOWN"]


class NotNow(ClusterUnreachable):
    """The head is there, and has not answered in time or takes no driver yet, as one that has just started."""


class Dashboard:
    """Safe for several threads. Every method raises ClusterUnreachable where no dashboard answers as it should."""

    def __init__(self, settings: Settings, transport: httpx2.BaseTransport | None = None) -> None:
        self._url = settings.ray_dashboard or f"http://{settings.ray_address.rpartition(':')[0]}:{PORT}"
        token = settings.ray_auth_token
        self._known: tuple[float, tuple[dict[str, float], ...]] | None = None
        self._http = httpx2.Client(
            base_url=self._url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=TIMEOUT_S,
            limits=httpx2.Limits(max_keepalive_connections=0),  # nothing is left open that somebody had to close
            transport=transport,
        )

    def nodes(self) -> tuple[dict[str, float], ...]:
        """What each living node has: {"CPU": ..., "GPU": ..., "memory": bytes}; as it was FRESH_S ago at most."""
        known = self._known
        if known is None or time.monotonic() - known[0] > FRESH_S:
            self._known = known = time.monotonic(), self._nodes()
        return known[1]

    def raylets(self, port: str) -> tuple[list[Raylet], str]:
        """Ray's process on each living node; and the address of the head as these know it, which has this port."""
        told = self._read(self._ask("GET", "/nodes", params={"view": "summary"}))
        try:
            nodes = [node["raylet"] for node in told["data"]["summary"] if node["raylet"]["state"] == "ALIVE"]
            head = next(node["nodeManagerAddress"] for node in nodes if node["isHeadNode"])
            found = [
                Raylet(node["nodeManagerAddress"], node["nodeManagerPort"], node["resourcesTotal"]) for node in nodes
            ]
        except (KeyError, TypeError, StopIteration):
            raise self._unreachable(f"it does not list its nodes ({told.get('msg') or told})") from None
        return found, f"{head}:{port}"

    def submit(
        self,
        submission_id: str,
        entrypoint: str,
        environment: dict[str, str],
        *,
        cpus: float = 0.0,
        gpus: float = 0.0,
        within_s: float = SUBMIT_S,
    ) -> None:
        """Begin a driver: a shell line, with variables of its own. On the head; with `cpus` or `gpus`, where they are
        free, and reserved for it.

        Raises OSError where Ray refuses it, NotNow where asking again is right: it may have been taken all the same.
        """
        reserved = {"entrypoint_num_cpus": cpus, "entrypoint_num_gpus": gpus}
        asked = {
            "entrypoint": entrypoint,
            "submission_id": submission_id,
            "runtime_env": {"env_vars": environment},
            **{name: amount for name, amount in reserved.items() if amount},
        }
        answer = self._ask("POST", "/api/jobs/", json=asked, timeout=within_s)
        if answer.status_code >= 500:  # e.g. "No available agent to submit job, please try again later"
            raise NotNow(self._said_of(f"it answers {answer.status_code}: {_said(answer)}"))
        if answer.status_code != 200:
            raise OSError(f"Ray at {self._url} did not take the job: {_said(answer)}")

    def state(self, submission_id: str) -> DriverState:
        """How a driver stands."""
        state: DriverState = self._about(submission_id).get("status", "UNKNOWN")
        return state

    def exit_code(self, submission_id: str) -> int | None:
        """How the process of a driver ended; negative by a signal, None where it did not, or nobody knows."""
        code = self._about(submission_id).get("driver_exit_code")
        return None if code is None else int(code)

    def stop(self, submission_id: str) -> None:
        """End a driver: SIGTERM, and after a few seconds SIGKILL. No error where it is gone."""
        self._ask("POST", f"/api/jobs/{quote(submission_id)}/stop")

    def log(self, submission_id: str) -> str:
        """All that a driver wrote; empty where Ray does not know it."""
        answer = self._ask("GET", f"/api/jobs/{quote(submission_id)}/logs")
        return str(self._read(answer).get("logs", "")) if answer.status_code == 200 else ""

    def _about(self, submission_id: str) -> dict[str, Any]:
        """What Ray knows of a driver; empty where it does not know it."""
        answer = self._ask("GET", f"/api/jobs/{quote(submission_id)}")
        return {} if answer.status_code == 404 else self._read(answer)

    def _nodes(self) -> tuple[dict[str, float], ...]:
        asked = {"limit": MANY_NODES, "filter_keys": "state", "filter_predicates": "=", "filter_values": "ALIVE"}
        told = self._read(self._ask("GET", "/api/v0/nodes", params=asked))
        nodes = told.get("data", {}).get("result", {}).get("result")
        if not isinstance(nodes, list):
            raise self._unreachable(f"it does not list its nodes ({told.get('msg') or told})")
        return tuple(dict(node.get("resources_total") or {}) for node in nodes)

    def _ask(self, method: str, path: str, **what: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, **what)
        except httpx2.ReadTimeout:
            raise NotNow(self._said_of("it does not answer in time")) from None
        except httpx2.HTTPError as error:
            raise self._unreachable(str(error) or type(error).__name__) from None
        if answer.status_code in (401, 403):
            raise self._unreachable("it asks for another token; set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH")
        if answer.status_code in (502, 503, 504):
            raise self._unreachable(f"it answers {answer.status_code}")
        return answer

    def _read(self, answer: httpx2.Response) -> dict[str, Any]:
        try:
            told = answer.json()
        except ValueError:
            told = None
        if answer.status_code != 200 or not isinstance(told, dict):
            raise self._unreachable(f"it answers {answer.status_code}: {_said(answer)}")
        return told

    def _unreachable(self, why: str) -> ClusterUnreachable:
        return ClusterUnreachable(self._said_of(why))

    def _said_of(self, why: str) -> str:
        return (
            f"RAY_ADDRESS: the dashboard of the Ray head at {self._url} is not to be used: {why}. "
            "Where it listens elsewhere, say so with RAY_API_SERVER_ADDRESS"
        )


def _said(answer: httpx2.Response) -> str:
    return " ".join(answer.text.split())[-300:]
