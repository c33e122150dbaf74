"""A job's own process that the kernel ended for want of memory is not tried again; one that was lost is."""

from __future__ import annotations

from pathlib import Path

import pytest
from job_factory import job

from service.cluster import oom
from service.errors import ClusterUnreachable
from service.jobs import worker
from service.jobs.log import log_of
from service.jobs.memory import MemoryJobStore
from service.settings import Settings

COUNTER = "/sys/fs/cgroup/memory.events"


@pytest.mark.parametrize("kills", [0, 1])
def test_the_next_attempt_tells_why_the_one_before_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    settings, store = Settings.read({"FUSEGPT_HOME": str(tmp_path)}), MemoryJobStore()
    again = store.submit(job("night")).model_copy(update={"attempts": 2, "state": "running"})
    oom._write(log_of(settings, again).with_suffix(".process"), again.id, (COUNTER, 0))
    monkeypatch.setattr(oom, "oom_kills", lambda: (COUNTER, kills))
    monkeypatch.setattr(worker, "LISTEN_S", 60.0)

    def search(*_: object) -> None:
        raise ClusterUnreachable("it was tried")

    monkeypatch.setattr(worker, "_search", search)
    changed = worker._run(again, settings, store, worker._tune)(again)
    if kills:
        assert (changed["state"], changed["failure"]) == ("failed", "memory")
        assert "out of memory, which would happen again: the kernel ended the process on" in changed["reason"]
    else:
        assert (changed["state"], changed["reason"]) == ("queued", "the cluster was unreachable: it was tried")
