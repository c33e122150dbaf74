"""`Jobs`: what the command asks of the job service. `HttpJobs` asks the API that FUSEGPT_ADDRESS names.

Answers are the API's own JSON, whoever gives them, so that the command says the same with a server and without one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, Protocol

import httpx2

from fusegpt.config import SettingError
from service.errors import ClusterUnreachable, JobFailed, NotFound, Refused

Json = dict[str, Any]
Word = Literal["cancel", "pause"]

TIMEOUT = httpx2.Timeout(60.0, connect=10.0)  # the log of a job may be silent for as long as it likes, see `log`
PLAN_S = 180.0  # a probe waits for the one before it
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"


class Jobs(Protocol):
    """Raises SettingError naming the key, NotFound, Refused, and ClusterUnreachable where nobody answers."""

    def submit(self, spec: Json, priority: int, key: str) -> Json:
        """Queue a job. The same key is the same job, however often it is sent."""
        ...

    def plan(self, spec: Json, probe: bool) -> Json:
        """What a spec would run; starts nothing. `probe`: measure a few real steps, where they can be."""
        ...

    def jobs(self, experiment: str, limit: int) -> list[Json]:
        """The newest jobs, newest first."""
        ...

    def job(self, name: str) -> Json: ...

    def progress(self, name: str) -> Json:
        """How far the job's search is, and its best so far."""
        ...

    def trials(self, name: str) -> list[Json]: ...

    def cancel_trial(self, name: str, number: int) -> Json:
        """End one trial of a job; the trial as it stands then."""
        ...

    def experiment(self, name: str) -> Json: ...

    def searches(self, experiment: str) -> Json:
        """All searches that were tracked, newest first, and the champions."""
        ...

    def search_trials(self, name: str) -> list[Json]:
        """The trials of a search as they were tracked."""
        ...

    def best(self, name: str) -> Json:
        """The best trial of a search, or of all searches of an experiment."""
        ...

    def front(self, name: str) -> Json:
        """The trials of a search with several objectives that none beats in all of them."""
        ...

    def change(self, name: str, changes: Json) -> Json:
        """Change a job's priority or budget; the job as it stands then."""
        ...

    def say(self, word: Word, name: str) -> Json:
        """Cancel or pause a job; the job as it stands then."""
        ...

    def resume(self, name: str, budget: Json) -> Json:
        """Let a job go on that is paused or has ended, with a larger budget where one is given."""
        ...

    def log(self, name: str, follow: bool, offset: int) -> Iterator[bytes]:
        """What the job's processes wrote, from a byte on; with `follow`, until the job ends or the line breaks."""
        ...

    def close(self) -> None: ...


class GateRefused(Refused):
    """The gate said no; `decision` has its figures."""

    def __init__(self, decision: Json) -> None:
        super().__init__(str(decision["reason"]))
        self.decision = decision


class Line:
    """The line to the API: what its parts below share."""

    def __init__(self, url: str, token: str, transport: httpx2.BaseTransport | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._url = url
        self._client = httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT, transport=transport)

    def close(self) -> None:
        self._client.close()

    def _asked(self, method: str, path: str, **request: Any) -> Json:
        return dict(self._answer(method, path, **request))

    def _answer(self, method: str, path: str, **request: Any) -> Any:
        try:
            answer = self._client.request(method, path, **request)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from None
        if answer.is_error:
            raise _error(answer)
        try:
            return answer.json()
        except ValueError:
            raise ClusterUnreachable(f"FUSEGPT_ADDRESS: what answers at {self._url} is no job API of fusegpt") from None

    def _unreachable(self, error: Exception) -> ClusterUnreachable:
        return ClusterUnreachable(f"FUSEGPT_ADDRESS: the job API at {self._url} does not answer ({error})")


class HttpJobs(Line):
    """Implements Jobs over HTTP."""

    def submit(self, spec: Json, priority: int, key: str) -> Json:
        asked = {"spec": spec, "priority": priority}
        for last in (False, True):  # the key makes it safe to ask again where an answer was lost
            try:
                return self._asked("POST", "/v1/jobs", json=asked, headers={"Idempotency-Key": key})
            except ClusterUnreachable:
                if last:
                    raise
        raise AssertionError

    def plan(self, spec: Json, probe: bool) -> Json:
        return self._asked("POST", "/v1/plan", json={"spec": spec, "probe": probe}, timeout=PLAN_S)

    def jobs(self, experiment: str, limit: int) -> list[Json]:
        page = self._asked("GET", "/v1/jobs", params={"experiment": experiment, "limit": limit})
        return list(page["jobs"])

    def job(self, name: str) -> Json:
        return self._asked("GET", _path(name))

    def progress(self, name: str) -> Json:
        return self._asked("GET", f"{_path(name)}/progress")

    def trials(self, name: str) -> list[Json]:
        return list(self._answer("GET", f"{_path(name)}/trials"))

    def cancel_trial(self, name: str, number: int) -> Json:
        return self._asked("POST", f"{_path(name)}/trials/{number}/cancel")

    def experiment(self, name: str) -> Json:
        return self._asked("GET", f"/v1/experiments/{name}")

    def searches(self, experiment: str) -> Json:
        return self._asked("GET", "/v1/searches", params={"experiment": experiment})

    def search_trials(self, name: str) -> list[Json]:
        return list(self._answer("GET", f"{_path(name, 'searches')}/trials"))

    def best(self, name: str) -> Json:
        return self._asked("GET", f"{_path(name, 'searches')}/best")

    def front(self, name: str) -> Json:
        return self._asked("GET", f"{_path(name, 'searches')}/front")

    def change(self, name: str, changes: Json) -> Json:
        return self._asked("PATCH", _path(name), json=changes)

    def say(self, word: Word, name: str) -> Json:
        return self._asked("POST", f"{_path(name)}/{word}")

    def resume(self, name: str, budget: Json) -> Json:
        return self._asked("POST", f"{_path(name)}/resume", **({"json": {"budget": budget}} if budget else {}))

    def log(self, name: str, follow: bool, offset: int) -> Iterator[bytes]:
        skip, silent_s = offset, None if follow else 60.0
        try:
            with self._client.stream(
                "GET", f"{_path(name)}/logs", params={"follow": follow}, timeout=httpx2.Timeout(silent_s, connect=10.0)
            ) as answer:
                if answer.is_error:
                    answer.read()
                    raise _error(answer)
                for chunk in answer.iter_bytes():
                    yield chunk[skip:]
                    skip = max(skip - len(chunk), 0)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from None


class HttpModels(Line):
    """The registered models of the API: promote and roll back."""

    def versions(self, name: str) -> list[Json]:
        """Newest first."""
        return list(self._answer("GET", f"/v1/models/{name}/versions"))

    def promote(self, name: str, version: int, asked: Json) -> Json:
        """What the gate decided, also where it said no. It may take its time: it looks at every held-out sample."""
        path = f"/v1/models/{name}/versions/{version}/promote"
        try:
            return self._asked("POST", path, json=asked, timeout=None)
        except GateRefused as refused:
            return refused.decision

    def rollback(self, name: str) -> Json:
        """The version that is champion again."""
        return self._asked("POST", f"/v1/models/{name}/rollback")


def _path(name: str, kind: Literal["jobs", "searches"] = "jobs") -> str:
    if not re.fullmatch(NAME, name):
        raise NotFound(f"there is no {'job' if kind == 'jobs' else 'search'} {name!r}")
    return f"/v1/{kind}/{name}"


def _error(answer: httpx2.Response) -> Exception:
    """A problem of the API as the error that the same mistake is without a server."""
    try:
        problem = answer.json()
        detail, status = str(problem["detail"]), answer.status_code
    except (ValueError, KeyError, TypeError):
        return ClusterUnreachable(
            f"FUSEGPT_ADDRESS: {answer.url} answered {answer.status_code}, which is no job API's word"
        )
    if decision := problem.get("decision"):
        return GateRefused(decision)
    if status == 401:
        return Refused(f"FUSEGPT_TOKEN: {detail}")
    kinds: dict[int, type[Exception]] = {403: Refused, 404: NotFound, 409: Refused, 503: ClusterUnreachable}
    if kind := kinds.get(status):
        return kind(detail)
    if status >= 500:
        return JobFailed(detail)
    told = problem.get("errors") or [{"field": problem.get("field", ""), "detail": detail}]
    lines = (f"{each['field']}: {each['detail']}" if each["field"] else each["detail"] for each in told)
    return SettingError("\n".join(lines))
