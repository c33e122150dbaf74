"""What only a server can do to the command: not answer, refuse, and break the line."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from job_modes import FakeRunner, served

from service.cli import main
from service.commands import jobs as command
from service.errors import ClusterUnreachable, JobFailed, NotFound, Refused
from service.jobs.store import JobStore
from service.remote import HttpJobs
from service.settings import Settings

JOB = {"id": "a1", "name": "night", "state": "succeeded", "reason": "", "created": "2026-01-01T00:00:00Z", "result": {}}


def over(answer: Callable[[httpx2.Request], httpx2.Response]) -> HttpJobs:
    return HttpJobs("http://api", "", httpx2.MockTransport(answer))


def code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_an_api_that_is_not_there_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as held:  # bound and not listening: nothing can answer there
        held.bind(("127.0.0.1", 0))
        monkeypatch.setenv("FUSEGPT_ADDRESS", f"http://127.0.0.1:{held.getsockname()[1]}")
        assert code("jobs") == 5
    assert capsys.readouterr().err.startswith("error: FUSEGPT_ADDRESS: the job API at http://127.0.0.1:")


def test_what_is_no_job_api_is_told_so() -> None:
    with pytest.raises(ClusterUnreachable, match="no job API"):
        over(lambda _: httpx2.Response(200, text="<html>")).job("night")
    with pytest.raises(ClusterUnreachable, match="answered 502"):
        over(lambda _: httpx2.Response(502, text="<html>")).job("night")


@pytest.mark.parametrize(
    ("status", "kind"), [(403, Refused), (404, NotFound), (409, Refused), (500, JobFailed), (503, ClusterUnreachable)]
)
def test_a_problem_becomes_the_error_that_it_is_without_a_server(status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="so it is"):
        over(lambda _: httpx2.Response(status, json={"detail": "so it is"})).job("night")


def test_a_lost_answer_to_a_submission_is_asked_for_again_under_the_same_key() -> None:
    keys = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            raise httpx2.ReadError("the line broke")
        return httpx2.Response(201, json=JOB)

    assert over(answer).submit({}, 0, "key")["name"] == "night"
    assert keys == ["key", "key"]


class Breaking(httpx2.SyncByteStream):
    """A log whose line breaks after the first part."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"one\n"
        raise httpx2.ReadError("the line broke")


def test_a_follower_takes_up_a_broken_line_where_it_was(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "AGAIN_S", 0.01)
    logs: list[httpx2.Response] = [httpx2.Response(200, text="one\ntwo\n"), httpx2.Response(200, stream=Breaking())]

    def answer(request: httpx2.Request) -> httpx2.Response:
        return logs.pop() if request.url.path.endswith("/logs") else httpx2.Response(200, json=JOB)

    assert command._until_its_end(over(answer), "night", quiet=False)["state"] == "succeeded"
    assert capfd.readouterr().out == "one\ntwo\n"


def test_a_follower_loses_patience_with_a_server_that_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "AGAIN_S", 0.01)
    monkeypatch.setattr(command, "PATIENCE_S", 0.05)

    def answer(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("nobody there")

    with pytest.raises(ClusterUnreachable, match="nobody there"):
        command._until_its_end(over(answer), "night", quiet=False)


def test_a_token_is_needed_sent_and_held_to_its_role(
    settings: Settings,
    store: JobStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"ann viewer {hashlib.sha256(b'hers').hexdigest()}")
    with served(settings.model_copy(update={"tokens": tokens}), FakeRunner(settings), store) as url:
        monkeypatch.setenv("FUSEGPT_ADDRESS", url)
        assert code("jobs") == 4
        assert "FUSEGPT_TOKEN: a bearer token is needed" in capsys.readouterr().err
        monkeypatch.setenv("FUSEGPT_TOKEN", "hers")
        assert code("jobs") == 0
        assert code("submit", "norms") == 4
        assert "ann is viewer" in capsys.readouterr().err


def test_an_address_on_the_command_line_goes_before_that_of_the_environment(
    settings: Settings, store: JobStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FUSEGPT_ADDRESS", "http://127.0.0.1:9")
    with served(settings, FakeRunner(settings), store) as url:
        assert code("--address", url, "jobs") == 0
    assert capsys.readouterr().out.startswith("no job yet")
    assert code("--address", "here:1", "jobs") == 2
    assert "FUSEGPT_ADDRESS: 'here:1' is no URL" in capsys.readouterr().err
