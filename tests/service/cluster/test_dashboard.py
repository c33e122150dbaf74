"""What a Ray head's dashboard says, and what is made of an answer that it should not give."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest

from service.cluster.dashboard import FRESH_S, Dashboard
from service.cluster.job_runner import RayJobRunner
from service.cluster.prestart import STARTED_AHEAD
from service.errors import ClusterUnreachable
from service.jobs.job import Job, now
from service.settings import Settings

Answer = Callable[[httpx2.Request], httpx2.Response]
NODES = [{"resources_total": {"CPU": 1.0, "memory": 2e9}}, {"resources_total": {"CPU": 3.0, "GPU": 1.0}}]


def dashboard(answer: Answer, **variables: str) -> Dashboard:
    settings = Settings.read({"FUSEGPT_HOME": "/nowhere", "RAY_ADDRESS": "head:6379", **variables})
    return Dashboard(settings, httpx2.MockTransport(answer))


def listed(_: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, json={"result": True, "data": {"result": {"result": NODES}}})


def starting() -> Job:
    return Job(id="a", name="a", experiment="e", spec={}, state="starting", attempts=2, created=now(), moved=now())


def test_the_nodes_are_those_that_live_with_what_each_has(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("service.cluster.dashboard.time", SimpleNamespace(monotonic=lambda: clock[0]))
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return listed(request)

    seen = dashboard(answer, RAY_AUTH_TOKEN="a-token")
    assert [node["CPU"] for node in seen.nodes()] == [1.0, 3.0]
    assert asked[0].url.host == "head"
    assert asked[0].url.port == 8265
    assert asked[0].headers["Authorization"] == "Bearer a-token"
    assert "ALIVE" in str(asked[0].url)
    clock[0] = FRESH_S
    seen.nodes()
    assert len(asked) == 1, "a turn of the queue every half second does not ask the cluster each time"
    clock[0] += 0.1
    seen.nodes()
    assert len(asked) == 2


def test_a_dashboard_elsewhere_is_asked_where_ray_says_it_is() -> None:
    hosts = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        hosts.append(request.url.host)
        return listed(request)

    dashboard(answer, RAY_API_SERVER_ADDRESS="http://proxy:9000").nodes()
    assert hosts == ["proxy"]


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (httpx2.Response(401), "asks for another token; set RAY_AUTH_TOKEN"),
        (httpx2.Response(403), "asks for another token"),
        (httpx2.Response(503), "answers 503"),
        (httpx2.Response(200, text="<html>a proxy's page"), "answers 200: <html>"),
        (httpx2.Response(200, json={"result": False, "msg": "no data source"}), "does not list its nodes"),
    ],
)
def test_an_answer_that_is_none_names_the_setting_and_the_cause(response: httpx2.Response, said: str) -> None:
    with pytest.raises(ClusterUnreachable, match=f"RAY_ADDRESS: .*http://head:8265.*{said}"):
        dashboard(lambda _: response).nodes()


def test_a_head_that_does_not_answer_is_said_to_be_unreachable() -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("connection refused", request=request)

    with pytest.raises(ClusterUnreachable, match=r"connection refused.*RAY_API_SERVER_ADDRESS"):
        dashboard(refuse).nodes()


def test_a_driver_gets_the_services_settings_but_neither_its_ray_address_nor_a_token(tmp_path: Path) -> None:
    asked: dict[str, object] = {}

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.update(json.loads(request.content))
        return httpx2.Response(200, json={})

    settings = Settings.read(
        {
            "FUSEGPT_HOME": str(tmp_path / "a home"),
            "RAY_ADDRESS": "head:6379",
            "RAY_AUTH_TOKEN": "t",
            "FUSEGPT_TOKEN": "x",
        }
    )
    RayJobRunner(settings, Dashboard(settings, httpx2.MockTransport(answer))).start(starting())
    assert asked["submission_id"] == "a-2"
    assert f"'{tmp_path}/a home/jobs/a.log'" in str(asked["entrypoint"])
    environment = asked["runtime_env"]["env_vars"]  # type: ignore[index]
    assert environment["FUSEGPT_HOME"] == str(tmp_path / "a home")
    assert not {"RAY_ADDRESS", "RAY_AUTH_TOKEN", "FUSEGPT_TOKEN"} & set(environment)


def raylet(port: int = 1, **changes: object) -> dict[str, object]:
    has = {"CPU": 2.0, "node:InternalHead": 1.0}
    told = {"nodeManagerAddress": "127.0.0.1", "nodeManagerPort": port, "resourcesTotal": has}
    return {"raylet": {**told, "state": "ALIVE", "isHeadNode": False, **changes}}


def test_the_raylets_are_those_of_living_nodes_and_the_head_has_the_address_that_they_know() -> None:
    summary = [raylet(7), raylet(8, state="DEAD"), raylet(9, isHeadNode=True, nodeManagerAddress="192.0.2.1")]
    seen = dashboard(lambda _: httpx2.Response(200, json={"data": {"summary": summary}}))
    raylets, address = seen.raylets("6379")
    assert [(each.host, each.port, each.has["CPU"]) for each in raylets] == [
        ("127.0.0.1", 7, 2.0),
        ("192.0.2.1", 9, 2.0),
    ]
    assert address == "192.0.2.1:6379"


@pytest.mark.parametrize("data", [None, {}, {"summary": []}, {"summary": [{"raylet": {"state": "ALIVE"}}]}])
def test_a_list_of_raylets_that_is_none_is_said_to_be_unreachable(data: object) -> None:
    with pytest.raises(ClusterUnreachable, match="does not list its nodes"):
        dashboard(lambda _: httpx2.Response(200, json={"data": data})).raylets("6379")


def test_nodes_that_cannot_be_reached_hold_up_no_driver_and_are_not_waited_for_again(tmp_path: Path) -> None:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json={"data": {"summary": [raylet(isHeadNode=True)]}})

    settings = Settings.read({"FUSEGPT_HOME": str(tmp_path), "RAY_ADDRESS": "head:6379"})
    runner = RayJobRunner(settings, Dashboard(settings, httpx2.MockTransport(answer)))
    for attempt in (1, 2):
        spec = {"experiment": "row_classifier"}
        runner.start(starting().model_copy(update={"spec": spec, "attempts": attempt}))
    assert [request.url.path for request in asked] == ["/nodes", "/api/jobs/", "/api/jobs/"]
    assert STARTED_AHEAD not in json.loads(asked[-1].content)["runtime_env"]["env_vars"]


def test_what_ray_says_of_a_driver_is_its_life(tmp_path: Path) -> None:
    settings = Settings.read({"FUSEGPT_HOME": str(tmp_path), "RAY_ADDRESS": "head:6379"})

    def life(response: httpx2.Response, job: Job) -> str:
        return RayJobRunner(settings, Dashboard(settings, httpx2.MockTransport(lambda _: response))).life(job)

    job = starting()
    for state, expected in {"PENDING": "alive", "RUNNING": "alive", "STOPPED": "gone", "FAILED": "gone"}.items():
        assert life(httpx2.Response(200, json={"status": state}), job) == expected
    assert life(httpx2.Response(404), job) == "elsewhere", "it may be on its way to Ray"
    assert life(httpx2.Response(404), job.model_copy(update={"moved": job.created.replace(year=2020)})) == "gone"
    assert life(httpx2.Response(502), job) == "elsewhere", "of a cluster that is away nothing can be said"


def test_a_job_that_ray_does_not_take_says_why(tmp_path: Path) -> None:
    settings = Settings.read({"FUSEGPT_HOME": str(tmp_path), "RAY_ADDRESS": "head:6379"})
    refused = httpx2.MockTransport(lambda _: httpx2.Response(400, text="no such runtime environment"))
    with pytest.raises(OSError, match="did not take the job: no such runtime environment"):
        RayJobRunner(settings, Dashboard(settings, refused)).start(starting())
