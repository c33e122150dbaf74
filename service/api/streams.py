"""What is told while it happens: a job's events as server-sent events, and its log as plain text."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

import anyio
from starlette.concurrency import run_in_threadpool

from service.jobs.job import Event
from service.jobs.runner import JobRunner
from service.jobs.store import JobStore

POLL_S = 0.5
HEARTBEAT_S = 15.0  # a proxy closes what is silent for long


async def events(store: JobStore, job_id: str, after: int) -> AsyncIterator[bytes]:
    """A job's log from below `after` on, until the job has ended and all of it is told; then one `end`."""
    spoke = time.monotonic()
    while True:
        job = await run_in_threadpool(store.get, job_id)  # looked at first: what ended it is in the log by then
        for event in (found := await run_in_threadpool(store.events, job_id, after)):
            yield _sent(event)
            after, spoke = event.sequence, time.monotonic()
        if found:
            continue
        if job.final:
            yield f"event: end\ndata: {json.dumps({'state': job.state, 'reason': job.reason})}\n\n".encode()
            return
        if time.monotonic() - spoke > HEARTBEAT_S:
            yield b": still here\n\n"
            spoke = time.monotonic()
        await anyio.sleep(POLL_S)


def _sent(event: Event) -> bytes:
    data = json.dumps({"time": event.time.isoformat(), "trial": event.trial, **event.data})
    return f"id: {event.sequence}\nevent: {event.kind}\ndata: {data}\n\n".encode()


async def log(store: JobStore, runner: JobRunner, job_id: str, follow: bool) -> AsyncIterator[bytes]:
    """What the job's processes wrote; with `follow`, until the job has ended."""
    offset = 0
    while True:
        job = await run_in_threadpool(store.get, job_id)
        while chunk := await run_in_threadpool(runner.read_log, job, offset):
            offset += len(chunk)
            yield chunk
        if job.final or not follow:
            return
        await anyio.sleep(POLL_S)
