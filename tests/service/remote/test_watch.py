"""What a verb shows is shown as it changes: lines where piped, in place on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from types import SimpleNamespace

import pytest
from job_modes import Fusegpt

from service.commands.watch import watch
from service.errors import ClusterUnreachable
from service.jobs.job import Job
from service.jobs.store import JobStore


def test_a_piped_status_tells_each_change_once_and_ends_with_the_job(
    fusegpt: Fusegpt, job: Job, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = {"number": 0, "drawn": {"model.norm": "layernorm"}, "epoch": 1, "seconds": 2.0, "error": "", "metrics": {}}

    def go_on() -> Iterator[None]:
        """What happens between two looks."""
        yield
        store.append(job.id, "trial_reported", {**line, "state": "running", "best": 0.5}, "trial_00000")
        yield
        store.update(store.get(job.id), state="succeeded", result={})
        yield

    between = go_on()
    monkeypatch.setattr(
        "service.commands.watch.time", SimpleNamespace(monotonic=monotonic, sleep=lambda _: next(between))
    )
    told = fusegpt("status", "night", "--watch")
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0] == "night is running"
    assert "night is succeeded" in lines
    assert [line.split()[:2] for line in lines if "trial_00000  " in line] == [["trial_00000", "running"]]


def test_json_is_for_programs_which_ask_again(fusegpt: Fusegpt, job: Job) -> None:
    del job
    for verb in (("status", "night"), ("jobs",), ("ls",)):
        told = fusegpt(*verb, "--watch", "--json")
        assert (told.code, told.err.startswith("error: --watch: is for people")) == (2, True)


def test_a_terminal_shows_the_present_lines_in_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = iter([(["one", "two"], False), (["one", "three"], True)])
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    watch(lambda: next(looks), every_s=0.0)
    out = capsys.readouterr().out
    assert "three" in out
    assert out.index("two") < out.index("three")


def test_a_server_that_is_away_for_a_moment_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    answers = iter([["one"], None, ["two"]])

    def look() -> tuple[list[str], bool]:
        lines = next(answers)
        if lines is None:
            raise ClusterUnreachable("it is away")
        return lines, lines == ["two"]

    watch(look, every_s=0.0)
    assert capsys.readouterr().out == "one\ntwo\n"


def test_a_server_that_was_never_there_is_told_at_once() -> None:
    def look() -> tuple[list[str], bool]:
        raise ClusterUnreachable("it is not there")

    with pytest.raises(ClusterUnreachable):
        watch(look, every_s=0.0)
