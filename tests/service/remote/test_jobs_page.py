"""The service's own page, in a real browser where there is one."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from browser import Page, in_browser, opened
from job_modes import FakeRunner, served
from starlette.testclient import TestClient

from service.api.app import create_app
from service.api.pages import FILES, STATIC
from service.jobs.job import Job, now
from service.jobs.memory import MemoryJobStore
from service.registry import Registry, Version
from service.registry.rollout import Challenger, Rollout
from service.settings import Settings

EVIL = "<img src=x onerror=document.title='owned'>"


def kept_job(store: MemoryJobStore, name: str, experiment: str = "norms") -> Job:
    return store.submit(
        Job(id=f"id-{name}", name=name, experiment=experiment, spec={}, cpus=2, owner="ann", created=now())
    )


@pytest.fixture
def jobs() -> MemoryJobStore:
    """One that runs, one that waits, one that failed with something nasty to say."""
    store = MemoryJobStore()
    broken = kept_job(store, "broken")
    store.update(broken, state="failed", reason=EVIL)
    night = store.update(kept_job(store, "night"), state="starting")
    store.update(night, state="running")
    store.append(night.id, "search_started", {"metric": "val/ade_m", "mode": "min", "trials": 4})
    for number, (state, best) in enumerate([("finished", 0.912), ("running", 0.7)]):
        told = {"number": number, "state": state, "drawn": {"model.n_head": 4 + number}, "epoch": 3, "best": best}
        store.append(
            night.id, "trial_reported", {**told, "metrics": {}, "seconds": 9, "error": ""}, f"trial_0000{number}"
        )
    waiting = kept_job(store, "waiting")
    store.update(waiting, reason="needs 2 CPU, 0 free, held by night")
    return store


@pytest.fixture
def idle(settings: Settings) -> FakeRunner:
    return FakeRunner(settings)


@pytest.fixture
def client(settings: Settings, jobs: MemoryJobStore, idle: FakeRunner) -> Iterator[TestClient]:
    app = create_app(settings, jobs, idle, Registry(settings), dispatch=False)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def test_the_page_runs_nothing_but_its_own_files_and_fetches_nothing_from_elsewhere(client: TestClient) -> None:
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert client.get("/docs").headers["content-security-policy"] == policy
    for shown in (answer, client.get("/docs")):
        assert not re.search(r"<script(?! type=\"module\" src=)|style=|\son\w+=", shown.text)
    for name, file in FILES.items():
        assert client.get(f"/static/{name}").status_code == 200
        written = file.read_text().replace("http://www.w3.org/2000/svg", "")  # a name, not an address
        assert not re.search(r"https?://\w|innerHTML|outerHTML|insertAdjacent", written)
    assert {file.name for file in STATIC.iterdir()} | {"operations.js"} == {*FILES, "index.html", "docs.html"}


@pytest.mark.parametrize("name", ["pages.py", "..%2Fpages.py", "index.html"])
def test_only_the_page_s_own_files_are_given(client: TestClient, name: str) -> None:
    assert client.get(f"/static/{name}").status_code == 404


def test_links_hold_no_login_and_lead_to_no_endpoint_that_is_not_there(
    settings: Settings, jobs: MemoryJobStore, idle: FakeRunner
) -> None:
    known = settings.model_copy(update={"tracking_uri": "https://ann:secret@mlflow.lan:5000/x"})

    def links(port: int) -> dict[str, str]:
        here = known.model_copy(update={"port": port})
        app = create_app(here, jobs, idle, Registry(here), dispatch=False)
        told: dict[str, str] = TestClient(app, base_url="http://127.0.0.1").get("/v1/links").json()
        return told

    with socket.create_server(("127.0.0.1", 0)) as there:
        url = f"http://127.0.0.1:{(port := there.getsockname()[1])}"
        assert links(port) == {"mlflow": "https://mlflow.lan:5000/x", "endpoint": url}
    with socket.socket() as held:  # bound and not listening: nothing can answer there
        held.bind(("127.0.0.1", 0))
        assert links(held.getsockname()[1])["endpoint"] == ""


def test_curves_have_every_trial_s_metric_by_epoch_and_an_epoch_told_again_once(
    client: TestClient, jobs: MemoryJobStore
) -> None:
    told = {"number": 0, "state": "running", "drawn": {}, "seconds": 1, "error": "", "best": 0.5}
    for epoch, value in ((1, 0.9), (2, 0.8), (2, 0.7), (3, None)):
        jobs.append(
            "id-night", "trial_reported", {**told, "epoch": epoch, "metrics": {"val/ade_m": value}}, "trial_00000"
        )
    first, second = client.get("/v1/jobs/night/curves").json()
    assert (first["epochs"], first["values"]) == ([1, 2, 3], [0.9, 0.7, None])
    assert (second["trial"], second["epochs"]) == ("trial_00001", [])
    assert client.get("/v1/jobs/waiting/curves").json() == []


def test_a_caller_is_told_who_it_is(client: TestClient) -> None:
    assert client.get("/v1/caller").json() == {"name": "local", "role": "admin"}


def test_a_job_leads_to_its_run_in_mlflow(
    client: TestClient, settings: Settings, jobs: MemoryJobStore, idle: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = SimpleNamespace(experiment_id="3", run_id="abc")
    monkeypatch.setattr("service.api.pages.History.find", lambda _, name: found if name == "night" else None)
    assert client.get("/v1/jobs/night/run").json() == {"run_id": "abc", "url": ""}
    server = settings.model_copy(update={"tracking_uri": "http://ann:secret@mlflow.lan:5000/"})
    remote = TestClient(create_app(server, jobs, idle, Registry(server), dispatch=False), base_url="http://127.0.0.1")
    run = remote.get("/v1/jobs/night/run").json()
    assert run["url"] == "http://mlflow.lan:5000/#/experiments/3/runs/abc"


def test_progress_of_a_job_that_waits_is_empty(client: TestClient) -> None:
    assert client.get("/v1/jobs/waiting/progress").json()["best"] is None
    assert client.get("/v1/jobs/night/progress").json() == {
        **{"metric": "val/ade_m", "mode": "min", "planned": 4, "states": {"finished": 1, "running": 1}},
        **{"best": 0.7, "trial": "trial_00001", "drawn": {"model.n_head": 5}},
    }


@in_browser
@pytest.mark.slow
def test_the_page_shows_how_each_job_stands_and_runs_nothing_of_what_they_say(
    settings: Settings, jobs: MemoryJobStore, idle: FakeRunner, tmp_path: Path
) -> None:
    for job in jobs.jobs(states=["queued"]):  # stays where it is: the service's dispatcher must not start it
        jobs.update(job, not_before=now().replace(year=2099))
    with served(settings, idle, jobs) as url, opened(url, tmp_path / "browser") as page:
        page.until("night\nrunning", "0.7 val/ade_m", "1 of 4 trials ended, 1 running", "waiting\nqueued", EVIL)
        page.until("model.n_head 5")
        assert page.evaluate("document.title") == "fusegpt: jobs"


@in_browser
@pytest.mark.slow
def test_without_a_token_the_page_asks_for_one_and_shows_nothing(
    settings: Settings, jobs: MemoryJobStore, idle: FakeRunner, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"ann viewer {hashlib.sha256(b'secret').hexdigest()}")
    guarded = settings.model_copy(update={"tokens": tokens})
    with served(guarded, idle, jobs) as url, opened(url, tmp_path / "browser") as page:
        page.until("Enter")
        assert "night" not in page.evaluate("document.documentElement.outerHTML")


class Shelf(Registry):
    """A registry with a champion, a challenger and two that were withdrawn, and no MLflow."""

    rollout = Rollout(mode="canary", share=0.1)

    def versions(self, name: str) -> list[Version]:
        figures = {"val/ade_m": 0.525, "val/constant_velocity_ade_m": 0.8}
        tags = {4: {"fusegpt.reason": "better by 0.08 m"}}
        for number, (why, day) in {2: ("by hand", 4), 3: ("3 % of its answers failed", 5)}.items():
            when = f"2026-03-0{day}T05:06:07+00:00"
            tags[number] = {"fusegpt.withdrawn": f"rolled back: {why}", "fusegpt.rolled_back": when}
        return [Version(name, number, "run", figures, now(), tags.get(number, {})) for number in (5, 4, 3, 2)]

    def champion(self, name: str) -> Version | None:
        return self.versions(name)[1]

    def challenger(self, name: str) -> Challenger | None:
        return Challenger(self.versions(name)[0], self.rollout)


def test_a_lineup_tells_who_answers_what_is_tried_and_what_was_withdrawn_last(
    client: TestClient, settings: Settings, jobs: MemoryJobStore, idle: FakeRunner
) -> None:
    app = create_app(settings, jobs, idle, Shelf(settings), dispatch=False)
    told = TestClient(app, base_url="http://127.0.0.1").get("/v1/models/fusion_waypoints/lineup").json()
    assert (told["champion"]["version"], told["champion"]["champion"]) == (4, True)
    assert (told["challenger"]["version"], told["rollout"], told["share"]) == (5, "canary", 0.1)
    assert (told["withdrawn"]["version"], told["withdrawn"]["withdrawn"]) == (
        3,
        "rolled back: 3 % of its answers failed",
    )
    assert (told["withdrawn_at"], told["baseline"]) == ("2026-03-05T05:06:07Z", "constant_velocity")
    empty = client.get("/v1/models/row_classifier/lineup").json()
    assert (empty.pop("name"), set(empty.values())) == ("row_classifier", {None, "", 0.0})
    assert client.get("/v1/models/nothing/lineup").status_code == 404


@in_browser
@pytest.mark.slow
def test_the_page_shows_what_is_tried_beside_the_champion_and_what_was_withdrawn_and_why(
    settings: Settings, jobs: MemoryJobStore, idle: FakeRunner, tmp_path: Path
) -> None:
    keep_waiting(jobs)
    kept_job(jobs, "drives", "fusion_waypoints")
    keep_waiting(jobs)
    shelf = Shelf(settings)
    with served(settings, idle, jobs, shelf) as url, opened(url, tmp_path / "browser") as page:
        page.until("challenger: version 5, a canary that answers 10 % of the requests")
        cards = "[...document.querySelectorAll('article')].map((one) => one.innerText)"
        shown = next(text for text in page.evaluate(cards) if text.startswith("fusion_waypoints"))
        assert "champion: version 4" in shown
        assert "val/ade_m 0.525" in shown
        assert "constant_velocity" not in shown, "a baseline is no figure of the model"
        assert "version 3 is out of the traffic since" in shown
        assert "; rolled back: 3 % of its answers failed" in shown
        shelf.rollout = Rollout(mode="shadow")
        page.evaluate("location.reload()")
        page.until("challenger: version 5, a shadow: its answers go to nobody")
        page.phone()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@in_browser
@pytest.mark.slow
def test_with_a_token_the_page_shows_jobs_as_they_go_and_the_champion(
    settings: Settings, jobs: MemoryJobStore, idle: FakeRunner, tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text(f"ann viewer {hashlib.sha256(b'secret').hexdigest()}")
    guarded = settings.model_copy(update={"tokens": tmp_path / "tokens"})
    with served(guarded, idle, jobs, Shelf(guarded)) as url, opened(url, tmp_path / "browser") as page:
        enter = "document.getElementById('token').value = {}; document.getElementById('door').requestSubmit()"
        page.until("Enter")
        page.evaluate(enter.format("'guess'"))
        page.until("this token is not known")
        page.evaluate(enter.format("'secret'"))
        page.until("0.7 val/ade_m")
        page.until("champion: version 4")
        assert page.evaluate("Object.values(sessionStorage).join() + Object.values(localStorage).join()") == "secret"
        page.evaluate(
            "[...document.querySelectorAll('li')].find((job) => job.querySelector('h3').innerText === 'night')"
            ".querySelector('details').open = true"
        )
        page.until("trial_00001\trunning\t3\t0.7\tmodel.n_head 5")
        told = {"number": 2, "state": "running", "drawn": {"model.n_head": 8}, "epoch": 1, "best": 0.61}
        jobs.append("id-night", "trial_reported", {**told, "metrics": {}, "seconds": 9, "error": ""}, "trial_00002")
        page.until("0.61 val/ade_m")
        page.until("trial_00002\trunning")
        page.evaluate("document.getElementById('leave').click()")
        page.until("Enter")
        assert "night" not in page.text()


def keep_waiting(jobs: MemoryJobStore) -> None:
    """The service's dispatcher must not start what waits."""
    for job in jobs.jobs(states=["queued"]):
        jobs.update(job, not_before=now().replace(year=2099))


def press(page: Page, job: str, text: str) -> None:
    """Click on a button of a job's card, once it is there."""
    card = f"[...document.querySelectorAll('.jobs > li')].find((job) => job.querySelector('h3').innerText === '{job}')"
    script = f"[...({card})?.querySelectorAll('button') ?? []].find((one) => one.innerText === '{text}')"
    page.when(f"((found) => {{ found?.click(); return Boolean(found); }})({script})")


@in_browser
@pytest.mark.slow
def test_a_submitter_pauses_resumes_and_cancels_from_the_page_and_is_asked_before(
    settings: Settings, jobs: MemoryJobStore, idle: FakeRunner, tmp_path: Path
) -> None:
    keep_waiting(jobs)
    with served(settings, idle, jobs) as url, opened(url, tmp_path / "browser") as page:
        press(page, "waiting", "Pause")
        page.until("Pause? Its trials keep their state")
        press(page, "waiting", "No")
        press(page, "waiting", "Pause")
        assert jobs.get("waiting").state == "queued"
        press(page, "waiting", "Yes")
        page.until("waiting\npaused")
        press(page, "waiting", "Resume")
        press(page, "waiting", "Yes")
        page.until("waiting\nqueued")
        press(page, "waiting", "Cancel")
        page.until("Cancel? Its trials end")
        press(page, "waiting", "Yes")
        page.until("waiting\nstopped")
    assert jobs.get("waiting").state == "stopped"


@in_browser
@pytest.mark.slow
def test_a_job_that_has_ended_goes_on_from_the_page_with_more_trials(
    settings: Settings, jobs: MemoryJobStore, idle: FakeRunner, tmp_path: Path
) -> None:
    keep_waiting(jobs)
    asked = Job(
        id="id-done",
        name="done",
        experiment="norms",
        spec={"experiment": "norms", "set": {"search.trials": 4}},
        created=now(),
    )
    done = jobs.submit(asked)
    jobs.append(done.id, "search_started", {"metric": "val/ade_m", "mode": "min", "trials": 4})
    for state in ("starting", "running", "succeeded"):
        done = jobs.update(done, state=state)
    one_at_a_time = settings.model_copy(update={"jobs": 1})  # the one that runs: so this one waits
    with served(one_at_a_time, idle, jobs) as url, opened(url, tmp_path / "browser") as page:
        press(page, "done", "More trials")
        page.until("more trials than the 4 that it had?")
        field = "document.querySelector('.actions input')"
        page.evaluate(f"{field}.value = ''")
        press(page, "done", "Yes")
        assert page.evaluate(f"{field}.validity.valid") is False
        assert jobs.get("done").state == "succeeded", "asked for no number, it does nothing"
        page.evaluate(f"{field}.value = '20'")
        page.phone()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        press(page, "done", "Yes")
        page.until("done\nqueued")
        page.until("1 job at once at most")
        assert jobs.get("done").spec["set"]["search.trials"] == 24
        page.when("[...document.querySelectorAll('button')].every((one) => one.innerText !== 'More trials')")
    said = [event.data["reason"] for event in jobs.events("id-done") if event.data.get("to") == "queued"]
    assert said[-1] == "extended by local: search.trials 24"


@in_browser
@pytest.mark.slow
def test_who_may_only_look_or_owns_another_job_sees_no_buttons(
    settings: Settings, jobs: MemoryJobStore, idle: FakeRunner, tmp_path: Path
) -> None:
    keep_waiting(jobs)
    callers = {"ann": "submitter", "bob": "submitter", "eve": "viewer"}
    lines = [f"{name} {role} {hashlib.sha256(name.encode()).hexdigest()}" for name, role in callers.items()]
    (tmp_path / "tokens").write_text("\n".join(lines))
    guarded = settings.model_copy(update={"tokens": tmp_path / "tokens"})
    with served(guarded, idle, jobs) as url, opened(url, tmp_path / "browser") as page:
        for name, buttons in (("eve", 0), ("bob", 0), ("ann", 5)):
            page.until("Enter")
            page.evaluate(
                f"document.getElementById('token').value = '{name}'; document.getElementById('door').requestSubmit()"
            )
            page.until(f"{name}, {callers[name]}")
            assert page.evaluate("document.querySelectorAll('.jobs button').length") == buttons
            page.evaluate("document.getElementById('leave').click()")


@in_browser
@pytest.mark.slow
def test_a_job_named_in_the_address_is_open_with_its_curves_and_fits_a_phone(
    settings: Settings, jobs: MemoryJobStore, idle: FakeRunner, tmp_path: Path
) -> None:
    keep_waiting(jobs)
    told = {"number": 1, "state": "running", "drawn": {"model.n_head": 5}, "seconds": 9, "error": ""}
    for epoch, value in enumerate((0.9, 0.8, 0.7), start=1):
        line = {**told, "epoch": epoch, "best": value, "metrics": {"val/ade_m": value}}
        jobs.append("id-night", "trial_reported", line, "trial_00001")
    with served(settings, idle, jobs) as url, opened(f"{url}/#night", tmp_path / "browser") as page:
        page.phone()
        page.until("trial_00001\trunning Cancel\t3\t0.7")
        assert page.evaluate("document.querySelectorAll('.plot').length") == 2
        assert page.evaluate("document.querySelector('.plot .best').getAttribute('points').split(' ').length") == 3
        assert page.evaluate("document.querySelector('.plot title').textContent") == "trial 1, running: 0.7"
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert page.evaluate("document.querySelector('[aria-label=\"Cancel trial_00001\"]') !== null")


@in_browser
@pytest.mark.slow
def test_the_api_s_description_is_a_page_that_needs_no_other_place(
    settings: Settings, jobs: MemoryJobStore, idle: FakeRunner, tmp_path: Path
) -> None:
    keep_waiting(jobs)
    with served(settings, idle, jobs) as url, opened(f"{url}/docs", tmp_path / "browser") as page:
        said = page.until(
            "Check a spec and queue it. Nothing starts where anything is wrong.",
            "/v1/jobs/{job}/curves",
            "Higher starts first.",
            "409",
        )
    assert "undefined" not in said
