"""A process that the kernel or Ray ended for its memory is told from one that was lost otherwise."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from patience import wait_for
from ray.exceptions import OutOfMemoryError as RayOutOfMemoryError
from ray.exceptions import RayActorError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from standin import experiment, search_of, train

from fusegpt.training.report import TrainingError
from service.cluster import oom
from service.cluster.oom import OutOfMemoryError, oom_kills, surviving
from service.cluster.trainable import ERROR, PROCESS, trainable
from service.cluster.worker_group import LostWorkersError, _cause
from service.jobs.retry import failure_of, failure_said, may_retry, memory_cause

COUNTER = "/sys/fs/cgroup/memory.events"
# What Ray 2.60 says where its memory monitor ended a process, and where one was lost.
MONITOR = (
    "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2, ID: 3fda) was "
    "7.00GB used / 23.54GB limit (0.297300)\nOOM kill reason: Memory usage exceeded threshold\nRefer to the "
    "documentation on how to address the out of memory issue"
)
LOST = (
    "The actor died unexpectedly before finishing this task.\n\tclass_name: Bound\nThe actor is dead because its "
    "worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with a "
    "connection error code 2. End of file. Some common causes include: (1) the process was killed by the OOM killer "
    "due to high memory usage, (2) ray stop --force was called, or (3) the worker crashed unexpectedly due to SIGSEGV"
)


def count(monkeypatch: pytest.MonkeyPatch, kills: int) -> None:
    monkeypatch.setattr(oom, "oom_kills", lambda: (COUNTER, kills))


def killed_inside(note: Path, run: str, monkeypatch: pytest.MonkeyPatch, kills: int = 3) -> None:
    """What a process leaves that was killed while it trained."""
    count(monkeypatch, kills)
    oom._write(note, run, (COUNTER, kills))


@pytest.mark.parametrize(
    ("cgroup", "file", "text"),
    [
        ("0::/a/job\n", "sys/fs/cgroup/a/job/memory.events", "oom 5\noom_kill 4\noom_group_kill 0\n"),
        ("0::/a/job\n", "sys/fs/cgroup/memory.events", "oom 5\noom_kill 4\n"),
        ("4:memory:/j\n0::/\n", "sys/fs/cgroup/memory/j/memory.oom_control", "under_oom 0\noom_kill 4\n"),
        ("0::/\n", "proc/vmstat", "nr_free_pages 7\noom_kill 4\n"),
    ],
)
def test_the_kernel_s_count_is_read_where_it_is(tmp_path: Path, cgroup: str, file: str, text: str) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(cgroup)
    assert oom_kills(tmp_path) is None
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    assert oom_kills(tmp_path) == (str(tmp_path / file), 4)


def test_who_takes_up_the_work_of_one_killed_for_memory_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "process.json"
    killed_inside(note, "a", monkeypatch)
    count(monkeypatch, 4)
    with pytest.raises(OutOfMemoryError, match=r"want of memory .oom_kill in .*memory\.events went from 3 to 4"):
        surviving(note, "a").__enter__()
    with surviving(note, "a"):
        assert note.exists(), "whoever tries again all the same begins anew"
    assert not note.exists()


@pytest.mark.parametrize(
    ("kills", "run", "changed"),
    [(3, "a", {}), (4, "b", {}), (4, "a", {"where": "another-host 1 file"})],
    ids=["lost otherwise", "of another search", "on another machine"],
)
def test_what_is_not_known_to_be_memory_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int, run: str, changed: dict[str, str]
) -> None:
    note = tmp_path / "process.json"
    killed_inside(note, "a", monkeypatch)
    note.write_text(json.dumps({**json.loads(note.read_text()), **changed}))
    count(monkeypatch, kills)
    with surviving(note, run):
        assert json.loads(note.read_text())["kills"] == kills


def test_what_others_were_killed_for_is_not_held_against_one_that_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oom, "LOOK_S", 0.01)
    note = tmp_path / "process.json"
    count(monkeypatch, 3)
    with surviving(note, "a"):
        count(monkeypatch, 4)
        wait_for(lambda: json.loads(note.read_text())["kills"] == 4)
        kept = note.read_text()
    note.write_text(kept)
    with surviving(note, "a"):
        assert json.loads(note.read_text())["kills"] == 4


def test_an_error_leaves_no_note_and_a_kill_leaves_one(tmp_path: Path) -> None:
    note = tmp_path / "process.json"
    with pytest.raises(ZeroDivisionError), surviving(note, "a"):
        raise ZeroDivisionError
    assert not note.exists()
    if oom_kills() is None:
        pytest.skip("the kernel's count cannot be read here")
    inside = "import sys, time; from pathlib import Path; from service.cluster.oom import surviving\n"
    inside += "with surviving(Path(sys.argv[1]), 'a'): print('in', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", inside, str(note)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert json.loads(note.read_text())["run"] == "a"


def test_a_trial_whose_process_was_killed_for_memory_fails_where_it_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = search_of(tmp_path / "night", experiment(trials=1))
    actor_class = trainable(search, tmp_path, train, lambda _: 0.0)
    killed_inside(search.folder / "trial_00000" / PROCESS, actor_class.run, monkeypatch)
    count(monkeypatch, 4)
    actor = actor_class.__new__(actor_class)
    actor.setup({"number": 0, "drawn": {}})
    told = actor.step()
    assert told["done"]
    assert failure_said(told[ERROR]).kind == "memory"
    assert not (search.folder / "trial_00000" / "epochs.txt").exists()


def test_what_ray_says_of_a_process_is_told_apart() -> None:
    ended = failure_of(RayOutOfMemoryError(MONITOR))
    assert ended.kind == "memory"
    assert "7.00GB used / 23.54GB limit" in ended.cause
    actor = failure_of(RayActorError(error_msg=f"The actor died unexpectedly.\n{MONITOR}"))
    assert (actor.kind, actor.cause) == ("memory", MONITOR.splitlines()[0])
    assert not may_retry(actor, 0)
    assert failure_of(RayActorError(error_msg=LOST)).kind == "lost"
    assert failure_said(f"its process died 4 times in a row with no progress; the last time: {LOST}").kind == "lost"
    assert memory_cause(LOST) == ""


def test_of_a_group_s_failures_memory_is_the_cause_and_no_group_replaces_it() -> None:
    lost, out = RayActorError(error_msg=LOST), RayOutOfMemoryError(MONITOR)
    unhealthy = WorkerHealthCheckFailedError("A worker health check failed.", out)
    for failures in ([lost, out], [unhealthy, TrainingError("connection closed by peer")]):
        cause = _cause(failures)
        assert isinstance(cause, OutOfMemoryError)
        assert "low on memory" in str(cause)
    assert isinstance(_cause([lost]), LostWorkersError)
