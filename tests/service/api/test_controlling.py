"""Jobs are listed, followed and controlled; roles and owners are held."""

from __future__ import annotations

import hashlib
import os
import secrets

import pytest
from api_callers import TOKENS, As, IdleRunner
from fastapi import FastAPI
from starlette.testclient import TestClient

from fusegpt.config import SettingError
from service.api.access import Access
from service.api.app import create_app
from service.jobs.dispatcher import Dispatcher
from service.jobs.job import Job, now
from service.jobs.memory import MemoryJobStore
from service.registry import Registry
from service.settings import Settings

SPEC = {"experiment": "fusion_waypoints", "search": {"trials": 4}}


@pytest.fixture
def client(by: As) -> TestClient:
    return by("submitter")


def submit(client: TestClient, **more: object) -> str:
    answer = client.post("/v1/jobs", json={"spec": {**SPEC, **more}})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def ended(store: MemoryJobStore, **changes: object) -> Job:
    job = Job(
        id=secrets.token_hex(6),
        name=f"n{secrets.token_hex(4)}",
        experiment="fusion_waypoints",
        spec=SPEC,
        created=now(),
    )
    job = store.submit(job)
    return store.update(job, state="failed", reason="it broke", **changes)


def test_jobs_are_paged_and_filtered(client: TestClient) -> None:
    ids = [submit(client) for _ in range(5)]
    client.post(f"/v1/jobs/{ids[0]}/cancel")
    page = client.get("/v1/jobs", params={"limit": 3}).json()
    assert [job["id"] for job in page["jobs"]] == ids[:1:-1]
    rest = client.get("/v1/jobs", params={"limit": 3, "cursor": page["next"]}).json()
    assert ([job["id"] for job in rest["jobs"]], rest["next"]) == (ids[1::-1], None)
    stopped = client.get("/v1/jobs", params={"state": ["stopped", "failed"]}).json()["jobs"]
    assert [job["id"] for job in stopped] == ids[:1]
    assert client.get("/v1/jobs", params={"experiment": "other"}).json()["jobs"] == []
    assert client.get("/v1/jobs", params={"state": "gone"}).json()["field"] == "state.0"


def test_a_misspelt_parameter_is_an_error_and_not_a_list_of_everything(client: TestClient) -> None:
    answer = client.get("/v1/jobs", params={"experment": "norms"})
    assert (answer.status_code, answer.json()["field"]) == (422, "experment")
    assert "did you mean experiment?" in answer.json()["detail"]
    assert client.get("/v1/jobs", params={"experiment": "norms"}).status_code == 200


def test_a_queued_job_says_why_it_waits(client: TestClient, store: MemoryJobStore, runner: IdleRunner) -> None:
    first = submit(client, name="fusion-12", resources={"concurrent_trials": 3})
    second = submit(client, name="large", resources={"cpus_per_worker": 8})
    Dispatcher(store, runner).turn()
    assert runner.started == ["fusion-12"]
    assert client.get(f"/v1/jobs/{first}").json()["state"] == "starting"
    assert client.get(f"/v1/jobs/{second}").json()["reason"] == "needs 8 CPU, 5 free, held by fusion-12"


def test_words_move_a_job_and_are_conflicts_where_they_cannot(client: TestClient, store: MemoryJobStore) -> None:
    job = submit(client)

    def say(word: str) -> tuple[int, str]:
        answer = client.post(f"/v1/jobs/{job}/{word}")
        return answer.status_code, answer.json().get("state", answer.json().get("detail"))

    assert say("pause") == (200, "paused")
    assert say("pause") == (200, "paused")
    assert store.get(job).reason == "paused by submitter"
    assert say("resume") == (200, "queued")
    store.update(store.get(job), state="starting")
    assert say("pause") == (200, "pausing")
    status, detail = say("resume")
    assert (status, "is pausing: there is nothing to resume" in detail) == (409, True)
    assert say("cancel") == (200, "stopping")
    store.update(store.get(job), state="stopped")
    assert say("cancel") == (200, "stopped")
    assert say("pause")[0] == 409


def test_priority_and_budget_change_before_a_search_reads_them(client: TestClient, store: MemoryJobStore) -> None:
    job = submit(client, set={"search.budget.hours": 1, "training.epochs": 3})
    answer = client.patch(f"/v1/jobs/{job}", json={"priority": 9, "budget": {"trials": 2, "hours": 4}})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["priority"], answer.json()["cpus"]) == (9, 2.0)
    from service.spec import JobSpec, resolve

    experiment = resolve(JobSpec.model_validate(store.get(job).spec))
    assert (experiment.search.trials, experiment.search.budget.hours, experiment.training.epochs) == (2, 4, 3)
    assert client.patch(f"/v1/jobs/{job}", json={"budget": {"hours": -1}}).json()["field"] == "budget.hours"
    store.update(store.get(job), state="starting")
    assert client.patch(f"/v1/jobs/{job}", json={"budget": {"trials": 3}}).status_code == 409
    assert client.patch(f"/v1/jobs/{job}", json={"priority": 1}).status_code == 200


def test_a_job_that_has_ended_is_extended_by_whom_it_is_and_the_key_is_named(by: As, store: MemoryJobStore) -> None:
    job = store.get(submit(by("submitter"), name="night"))
    for state in ("starting", "running", "succeeded"):
        job = store.update(job, state=state)
    path, more = f"/v1/jobs/{job.id}/resume", {"budget": {"trials": 8}}
    assert by("viewer").post(path, json=more).status_code == 403
    assert by("other").post(path, json=more).status_code == 403
    assert by("submitter").post(path).status_code == 409
    for wrong in ({"trials": 0}, {"hours": -1}, {"trails": 8}):
        told = by("submitter").post(path, json={"budget": wrong})
        assert (told.status_code, told.json()["field"]) == (422, f"budget.{next(iter(wrong))}")
    told = by("submitter").post(path, json=more)
    assert (told.status_code, told.json()["state"], told.json()["ended"]) == (200, "queued", None)
    assert store.events(job.id)[-1].data["reason"] == "extended by submitter: search.trials 8"
    assert by("submitter").get(f"/v1/jobs/{job.id}").json()["spec"]["set"]["search.trials"] == 8
    schema = by("viewer").get("/openapi.json").json()["components"]["schemas"]["Resumption"]
    assert schema["properties"]["budget"]["examples"] == [{"trials": 48, "hours": 12}]


def test_how_far_a_job_is_follows_the_search_that_runs_now(client: TestClient, store: MemoryJobStore) -> None:
    job = ended(store)
    for trials in (4, 48):
        store.append(job.id, "search_started", {"metric": "val/ade_m", "mode": "min", "trials": trials})
    assert client.get(f"/v1/jobs/{job.id}/progress").json()["planned"] == 48


def test_events_are_told_from_where_the_listener_was(client: TestClient, store: MemoryJobStore) -> None:
    job = ended(store)
    whole = client.get(f"/v1/jobs/{job.id}/events")
    assert whole.headers["content-type"].startswith("text/event-stream")
    told = [line for line in whole.text.splitlines() if line.startswith(("id:", "event:"))]
    assert told == ["id: 1", "event: state", "id: 2", "event: state", "event: end"]
    rest = client.get(f"/v1/jobs/{job.id}/events", headers={"Last-Event-ID": "1"}).text
    assert rest.startswith("id: 2\n")
    assert '"reason": "it broke"' in rest


def test_a_log_is_followed_to_the_end(client: TestClient, store: MemoryJobStore, runner: IdleRunner) -> None:
    runner.log = b"a line\n" * 20_000
    job = ended(store)
    for follow in ("0", "1"):
        assert client.get(f"/v1/jobs/{job.id}/logs", params={"follow": follow}).content == runner.log


def test_trials_are_told_as_they_stand(client: TestClient, store: MemoryJobStore) -> None:
    job = ended(store)
    line = {"number": 0, "drawn": {"model.n_head": 2}, "metrics": {"val/ade_m": None}, "seconds": 1.0, "error": ""}
    for state, epoch, best in (("running", 1, None), ("finished", 2, 0.5)):
        data = {**line, "state": state, "epoch": epoch, "best": best}
        store.append(job.id, "trial_reported", data, trial="trial_00000")
    told = client.get(f"/v1/jobs/{job.id}/trials").json()
    assert [(trial["id"], trial["state"], trial["best"]) for trial in told] == [("trial_00000", "finished", 0.5)]


@pytest.mark.parametrize(
    ("method", "path"), [("get", "/v1/jobs"), ("post", "/v1/jobs"), ("get", "/v1/experiments"), ("post", "/v1/plan")]
)
def test_nothing_is_told_without_a_token(by: As, method: str, path: str) -> None:
    answer = by("").request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    wrong = by("").request(method, path, headers={"Authorization": "Bearer " + "x" * 32})
    assert wrong.json()["detail"] == "this token is not known"


def test_a_viewer_looks_and_does_nothing(by: As) -> None:
    job = submit(by("submitter"))
    viewer = by("viewer")
    assert viewer.get(f"/v1/jobs/{job}").status_code == 200
    asked = [viewer.post("/v1/jobs", json={"spec": SPEC}), viewer.post(f"/v1/jobs/{job}/cancel")]
    asked += [viewer.patch(f"/v1/jobs/{job}", json={}), viewer.post("/v1/models/fusion_waypoints/rollback")]
    assert [answer.status_code for answer in asked] == [403] * 4


def test_a_trial_is_cancelled_by_whom_the_job_is(by: As, store: MemoryJobStore, settings: Settings) -> None:
    job = store.get(submit(by("submitter"), name="night"))
    path = f"/v1/jobs/{job.id}/trials/2/cancel"
    assert by("viewer").post(path).status_code == 403
    assert by("other").post(path).status_code == 403
    told = by("submitter").post(path)
    assert (told.status_code, told.json()["state"], told.json()["number"]) == (200, "cancelled", 2)
    assert (settings.runs / "night" / "trial_00002" / "cancel").exists()
    said = store.events(job.id)[-1]
    assert (said.kind, said.data) == ("changed", {"trial": "trial_00002", "to": "cancelled", "by": "submitter"})
    assert by("submitter").post(f"/v1/jobs/{job.id}/trials/4/cancel").status_code == 404, "it has four"
    assert by("submitter").post(f"/v1/jobs/{job.id}/trials/-1/cancel").status_code == 422
    assert [trial["number"] for trial in by("viewer").get(f"/v1/jobs/{job.id}/trials").json()] == [2]
    by("submitter").post(f"/v1/jobs/{job.id}/cancel")
    assert by("submitter").post(f"/v1/jobs/{job.id}/trials/3/cancel").status_code == 409
    assert not (settings.runs / "night" / "trial_00003").exists()


def test_a_job_is_its_owners_and_the_admins(by: As) -> None:
    job = submit(by("submitter"))
    refused = by("other").post(f"/v1/jobs/{job}/cancel")
    assert refused.status_code == 403
    assert "submitter's" in refused.json()["detail"]
    assert by("admin").post(f"/v1/jobs/{job}/cancel").json()["state"] == "stopped"


def test_to_force_a_promotion_needs_an_admin(by: As) -> None:
    path = "/v1/models/fusion_waypoints/versions/1/promote"
    assert by("submitter").post(path, json={"force": True}).json()["field"] == "force"
    assert by("admin").post(path, json={"force": True}).status_code == 404
    assert by("viewer").get("/v1/models/fusion_waypoints/versions").json() == []
    assert by("viewer").get("/v1/models/nothing/versions").status_code == 404
    assert by("viewer").get("/v1/models/fusion_waypoints/compare", params={"version": 1}).status_code == 404


def test_who_is_taken_out_of_the_file_is_out_at_once(by: As, settings: Settings) -> None:
    client = by("submitter")
    assert client.get("/v1/jobs").status_code == 200
    assert settings.tokens is not None
    settings.tokens.write_text("admin admin " + hashlib.sha256(TOKENS["admin"].encode()).hexdigest())
    os.utime(settings.tokens, (1, 1))
    assert client.get("/v1/jobs").status_code == 401


def test_a_token_that_was_not_hashed_is_refused_and_not_repeated(settings: Settings) -> None:
    assert settings.tokens is not None
    settings.tokens.write_text("ann submitter my-plain-token")
    os.utime(settings.tokens, (1, 1))
    with pytest.raises(SettingError, match=r"tokens:1: write NAME ROLE SHA256") as refused:
        Access(settings)
    assert "my-plain-token" not in str(refused.value)


def test_tokens_are_needed_beyond_this_machine(settings: Settings) -> None:
    with pytest.raises(SettingError, match="FUSEGPT_TOKENS"):
        Access(settings.model_copy(update={"tokens": None, "api_host": "0.0.0.0"}))


def test_without_tokens_other_sites_pages_are_turned_away(settings: Settings, store: MemoryJobStore) -> None:
    settings = settings.model_copy(update={"tokens": None})
    app: FastAPI = create_app(settings, store, IdleRunner(), Registry(settings), dispatch=False)
    client = TestClient(app, base_url="http://127.0.0.1:8701")
    assert client.get("/v1/jobs").status_code == 200
    assert client.get("/v1/jobs", headers={"Origin": "http://127.0.0.1:8701"}).status_code == 200
    assert client.get("/v1/jobs", headers={"Origin": "https://evil.example"}).json()["field"] == "Origin"
    assert client.get("/v1/jobs", headers={"Host": "evil.example"}).json()["field"] == "Host"
    body = client.post(
        "/v1/jobs", content=b'{"spec": {"experiment": "fusion_waypoints"}}', headers={"Content-Type": "text/plain"}
    )
    assert body.status_code == 422


def test_what_is_not_there_is_a_problem_too(by: As) -> None:
    client = by("viewer")
    for method, path, status in (("GET", "/nowhere", 404), ("DELETE", "/v1/jobs", 405), ("GET", "/v1/jobs/none", 404)):
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json()["status"] == status
    assert by("").get("/healthz").json() == {"status": "alive"}


def test_a_store_that_is_away_is_a_503(by: As, store: MemoryJobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.errors import ClusterUnreachable

    def away(*_: object) -> None:
        raise ClusterUnreachable("FUSEGPT_STORE: the job store does not answer")

    monkeypatch.setattr(store, "jobs", away)
    answer = by("viewer").get("/v1/jobs")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_a_fault_of_ours_tells_nothing_of_the_inside(
    by: As, store: MemoryJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "jobs", lambda *_: 1 / 0)
    answer = by("viewer").get("/v1/jobs")
    assert answer.status_code == 500
    assert "division" not in answer.text
