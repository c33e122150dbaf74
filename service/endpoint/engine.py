"""`Engine`: one request from its bytes to its answers, and the limits on the way. No protocol, no routes, no Ray."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from PIL import Image
from starlette.requests import ClientDisconnect

from fusegpt.signature import InputError
from service.endpoint.batcher import Answer, Batcher
from service.endpoint.champion import Arrays, Served, Watcher, check_answers
from service.endpoint.config import EndpointConfig
from service.endpoint.metrics import Metrics, Snapshot, Totals
from service.endpoint.problem import ProblemError, of_inputs
from service.endpoint.stages import Stages

DECODERS = 2
CLIENT_GONE = 499  # as nginx counts them

T = TypeVar("T")


class Peers(Protocol):
    """The counters of the other replicas of this endpoint."""

    async def exchange(self, own: Snapshot) -> list[Snapshot]:
        """Leave ours, take everyone's, ours among them. Never raises."""
        ...


class Alone:
    """The only replica."""

    async def exchange(self, own: Snapshot) -> list[Snapshot]:
        return [own]


class Asked(Protocol):
    """A decoded request of any protocol."""

    @property
    def samples(self) -> list[Arrays]: ...


A = TypeVar("A", bound=Asked)


@dataclass(frozen=True)
class Read(Generic[T]):
    """What a client sent, and how long that took."""

    value: T
    seconds: float


@dataclass(frozen=True)
class Answered:
    """One answer per sample, and how they came about."""

    values: list[Arrays]
    batch_size: int
    stages_s: dict[str, float]


class Counting:
    """Tells whether and how a request was answered."""

    def __init__(self, metrics: Metrics, protocol: str) -> None:
        self._metrics = metrics
        self._protocol = protocol
        self._began = time.perf_counter()

    def answered(self, served: Served, samples: int) -> None:
        """The answer is ready to be sent."""
        self._metrics.answered(served, self._protocol, samples, time.perf_counter() - self._began)


class Engine:
    """Reads, decodes, batches and predicts with the model that the watcher holds, and counts what it does."""

    def __init__(self, watcher: Watcher, config: EndpointConfig, peers: Peers | None = None) -> None:
        self.watcher = watcher
        self.config = config
        self.metrics = Metrics(watcher.name)
        self._peers = peers or Alone()
        self._waiting = 0
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        self._batcher: Batcher[Arrays, Arrays] = Batcher(config.max_batch_size, config.batch_wait_ms / 1000)
        self._stages: Stages | None = None
        self._poller: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Try to load the champion once, then go on watching. Never fails: without a model it says so."""
        self._batcher.start()
        await asyncio.to_thread(Image.preinit)  # Pillow's readers, which the first request would otherwise wait for
        await asyncio.to_thread(self.watcher.poll)
        self._poller = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop watching and answering."""
        if self._poller is not None:
            self._poller.cancel()
            with suppress(asyncio.CancelledError):
                await self._poller
        await self._batcher.close()
        self._decoders.shutdown(wait=False, cancel_futures=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.config.poll_s)
            await asyncio.to_thread(self.watcher.poll)
            await self._peers.exchange(self.metrics.snapshot())

    def served(self) -> Served:
        """The model that answers now. Raises ProblemError 503 where there is none."""
        if self.watcher.served is None:
            raise ProblemError(503, self.watcher.waiting_for, headers={"Retry-After": "5"})
        return self.watcher.served

    async def totals(self) -> Totals:
        """What all replicas counted."""
        return Totals(await self._peers.exchange(self.metrics.snapshot()))

    @contextmanager
    def counted(self, protocol: str) -> Iterator[Counting]:
        """Around a request: counts it, answered or failed, by the reason."""
        try:
            yield Counting(self.metrics, protocol)
        except ProblemError as error:
            self.metrics.failed(self.watcher.served, error.status)
            raise
        except (ClientDisconnect, asyncio.CancelledError):
            self.metrics.failed(self.watcher.served, CLIENT_GONE)
            raise
        except Exception:
            self.metrics.failed(self.watcher.served, 500)
            raise

    async def read(self, reading: Callable[[], Awaitable[T]]) -> Read[T]:
        """What `reading` gives, where there is room for one more request and the client sends it in time.

        Raises ProblemError: 503 where too many wait, 408 where it takes too long, and what `reading` raises.
        """
        self._check_room()
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self.config.read_timeout_s):
                value = await reading()
        except TimeoutError:
            detail = f"the request did not arrive within {self.config.read_timeout_s:g} s"
            raise ProblemError(408, detail, headers={"Connection": "close"}) from None
        self._check_room()
        return Read(value, time.perf_counter() - began)

    def _check_room(self) -> None:
        if self._waiting >= self.config.max_queue:
            detail = f"{self._waiting} requests are waiting already"
            raise ProblemError(503, detail, headers={"Retry-After": "1", "Connection": "close"})

    async def answer(self, served: Served, decode: Callable[[], A], read_s: float) -> tuple[A, Answered]:
        """The decoded request and its answers. `decode` runs in another thread.

        Raises ProblemError: what `decode` raises, 422 where the model refuses an input, 504 where it takes too long.
        """
        self._count(1)
        try:
            async with asyncio.timeout(self.config.timeout_s):
                return await self._answer(served, decode, read_s)
        except TimeoutError:
            raise ProblemError(504, f"there was no answer within {self.config.timeout_s:g} s") from None
        except InputError as error:
            raise of_inputs([error]) from None
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        self._waiting += more
        self.metrics.queue(self._waiting)

    async def _answer(self, served: Served, decode: Callable[[], A], read_s: float) -> tuple[A, Answered]:
        began = time.perf_counter()
        with self._batcher.expecting():
            asked = await asyncio.get_running_loop().run_in_executor(self._decoders, decode)
        decode_s = time.perf_counter() - began
        run = self._run(served)
        answers = await asyncio.gather(*(self._batcher.submit(run, sample) for sample in asked.samples))
        values = [answer.value for answer in answers]
        check_answers(values, served.signature, len(values))
        stages = {"read": read_s, "decode": decode_s, **_slowest(answers)}
        for stage in ("read", "decode", "queue"):
            self.metrics.stage(served.name, served.version, "wait" if stage == "queue" else stage, stages[stage])
        return asked, Answered(values, max(answer.batch_size for answer in answers), stages)

    def _run(self, served: Served) -> Stages:
        """The same for all requests to the same model: only those share a batch."""
        if self._stages is None or self._stages.served is not served:
            self._stages = Stages(served, self.metrics)
        return self._stages


def _slowest(answers: list[Answer[Arrays]]) -> dict[str, float]:
    return {
        "queue": max(answer.queue_s for answer in answers),
        "predict": max(answer.predict_s for answer in answers),
    }
