"""`Batcher`: requests that come together are predicted together.

While the model works, what arrives waits and forms the next batch. When the model is free, a batch starts at once
unless other requests are being decoded at that moment: only for those it waits, and never beyond the deadline. So a
lone request waits for nothing, and no batch is larger than its limit.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")

Run = Callable[[Sequence[In]], Sequence[Out]]


@dataclass(frozen=True)
class Answer(Generic[Out]):
    """One answer, with how it came about."""

    value: Out
    batch_size: int
    queue_s: float
    predict_s: float


@dataclass
class _Item(Generic[In, Out]):
    run: Run[In, Out]
    value: In
    answer: asyncio.Future[Answer[Out]]
    arrived: float


class Batcher(Generic[In, Out]):
    """Collects requests and runs them in batches, one batch at a time, in a thread of its own."""

    def __init__(self, max_batch_size: int, wait_s: float) -> None:
        self._max_batch_size = max_batch_size
        self._wait_s = wait_s
        self._queue: deque[_Item[In, Out]] = deque()
        self._expected = 0
        self._working = False
        self._changed = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work; needs a running event loop."""
        self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stop working. Requests that still wait are cancelled."""
        if self._worker is not None:
            self._worker.cancel()
            with suppress(asyncio.CancelledError):
                await self._worker
        for item in self._queue:
            item.answer.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def idle(self) -> bool:
        """Whether nothing is predicted, waits or is about to be submitted."""
        return not (self._working or self._queue or self._expected)

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """Around the decoding of a request that is about to be submitted: a batch may wait for it."""
        self._expected += 1
        try:
            yield
        finally:
            self._expected -= 1
            self._changed.set()

    async def submit(self, run: Run[In, Out], value: In) -> Answer[Out]:
        """The answer of `run` for one value. Only values with the same `run` share a batch.

        Raises what `run` raises for this value alone: a batch that fails is run again one by one.
        """
        item = _Item(run, value, asyncio.get_running_loop().create_future(), time.perf_counter())
        self._queue.append(item)
        self._changed.set()
        return await item.answer

    async def _work(self) -> None:
        while True:
            await self._gather()
            batch = self._take()
            if batch:
                self._working = True
                await self._answer(batch)
                self._working = False

    async def _gather(self) -> None:
        """Return when a batch should start."""
        while not self._queue:
            await self._next_change(None)
        deadline = time.perf_counter() + self._wait_s
        while self._expected and len(self._queue) < self._max_batch_size:
            left = deadline - time.perf_counter()
            if left <= 0:
                return
            await self._next_change(left)

    async def _next_change(self, timeout_s: float | None) -> None:
        self._changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout_s)

    def _take(self) -> list[_Item[In, Out]]:
        """The first that waits and those that may run with it, without those whose client gave up."""
        batch: list[_Item[In, Out]] = []
        others: deque[_Item[In, Out]] = deque()
        while self._queue and len(batch) < self._max_batch_size:
            item = self._queue.popleft()
            if item.answer.done():
                continue
            (batch if not batch or item.run == batch[0].run else others).append(item)
        self._queue.extendleft(reversed(others))
        return batch

    async def _answer(self, batch: list[_Item[In, Out]]) -> None:
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        try:
            values = await loop.run_in_executor(self._thread, batch[0].run, [item.value for item in batch])
            if len(values) != len(batch):
                raise RuntimeError(f"{len(values)} answers came for {len(batch)} requests")
        except Exception as error:
            await self._fail(batch, error)
            return
        predict_s = time.perf_counter() - started
        for item, value in zip(batch, values, strict=True):
            if not item.answer.done():
                item.answer.set_result(Answer(value, len(batch), started - item.arrived, predict_s))

    async def _fail(self, batch: list[_Item[In, Out]], error: Exception) -> None:
        """One bad request must fail alone."""
        if len(batch) > 1:
            for item in batch:
                await self._answer([item])
        elif not batch[0].answer.done():
            batch[0].answer.set_exception(error)
