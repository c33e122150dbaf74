"""`Engine`: one request from its bytes to its answers, and the limits on the way. No protocol, no routes, no Ray."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from PIL import Image
from starlette.requests import ClientDisconnect

from fusegpt.signature import InputError
from service.endpoint.batcher import Answer, Batcher
from service.endpoint.canary import REQUEST_ID, Draw
from service.endpoint.champion import Arrays, Served
from service.endpoint.config import EndpointConfig
from service.endpoint.guard import Guard
from service.endpoint.metrics import Metrics, Snapshot, Totals
from service.endpoint.problem import ProblemError, of_inputs
from service.endpoint.proof import check_answers
from service.endpoint.shadow import Shadow
from service.endpoint.stages import Stages
from service.endpoint.watcher import Watcher

log = logging.getLogger(__name__)

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
    """One answer per sample, which version gave them, and how they came about."""

    served: Served
    values: list[Arrays]
    batch_size: int
    stages_s: dict[str, float]


class Counting:
    """Tells whether and how a request was answered."""

    def __init__(self, metrics: Metrics, protocol: str) -> None:
        self.served: Served | None = None  # who was asked, as soon as that is known
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
        self._stages: dict[int, Stages] = {}
        self._draw = Draw()
        self._guard = Guard(config.guard)
        self._shadow = Shadow(self.metrics, lambda: self._batcher.idle, config.shadow_queue)
        self._wake = asyncio.Event()
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
        self._shadow.close()
        await self._batcher.close()
        self._decoders.shutdown(wait=False, cancel_futures=True)

    async def _watch(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self.config.poll_s)
            self._wake.clear()
            self._judge()
            await asyncio.to_thread(self.watcher.poll)
            await self._peers.exchange(self.metrics.snapshot())

    def _judge(self) -> None:
        """Withdraw the canary or the new champion where it is beyond its limits."""
        line, canary = self.watcher.lineup, self._canary()
        if canary is not None and line.champion is not None:
            self._judge_one(canary, line.champion)
        if line.champion and line.former and time.time() - line.champion.since < self.config.guard.probation_s:
            self._judge_one(line.champion, line.former)

    def _judge_one(self, new: Served, former: Served) -> None:
        reason = self._guard.breach(new.version, former.version)
        if reason and self.watcher.withdraw(new.version, reason):
            self._guard.forget(new.version)
            self._wake.set()

    def served(self) -> Served:
        """The champion. Raises ProblemError 503 where there is none."""
        if self.watcher.served is None:
            raise ProblemError(503, self.watcher.waiting_for, headers={"Retry-After": "5"})
        return self.watcher.served

    def chosen(self, headers: Mapping[str, str], version: str = "") -> Served:
        """Who answers this request: the champion, or a canary for its share; or the one of both that was asked for.

        Raises ProblemError: 503 where there is no model, 404 where there is none of this version.
        """
        champion, canary = self.served(), self._canary()
        if version:
            found = next((each for each in (champion, canary) if each and str(each.version) == version), None)
            if found is None:
                told = f"version {version[:20]} of {champion.name} is not served; version {champion.version} is"
                raise ProblemError(404, told)
            return found
        rollout = self.watcher.lineup.rollout
        if canary is None or rollout is None:
            return champion
        return canary if self._draw(canary.version, rollout.share, headers.get(REQUEST_ID, "")) else champion

    def _canary(self) -> Served | None:
        line = self.watcher.lineup
        return line.challenger if line.rollout and line.rollout.mode == "canary" else None

    async def totals(self) -> Totals:
        """What all replicas counted."""
        return Totals(await self._peers.exchange(self.metrics.snapshot()))

    @contextmanager
    def counted(self, protocol: str) -> Iterator[Counting]:
        """Around a request: counts it, answered or failed, by the reason."""
        count = Counting(self.metrics, protocol)
        try:
            yield count
        except ProblemError as error:
            self.metrics.failed(count.served or self.watcher.served, error.status)
            raise
        except (ClientDisconnect, asyncio.CancelledError):
            self.metrics.failed(count.served or self.watcher.served, CLIENT_GONE)
            raise
        except Exception:
            self.metrics.failed(count.served or self.watcher.served, 500)
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

        Where a new version fails on a request, the one that it stands beside answers it. Raises ProblemError: what
        `decode` raises, 422 where the model refuses an input, 504 where it takes too long.
        """
        self._count(1)
        try:
            async with asyncio.timeout(self.config.timeout_s):
                return await self._answer(served, decode, read_s)
        except TimeoutError:
            self._failed(served)
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
        served, answers = await self._predicted_by_somebody(served, asked.samples)
        values = [answer.value for answer in answers]
        self._offer_to_shadow(asked.samples, values)
        stages = {"read": read_s, "decode": decode_s, **_slowest(answers)}
        for stage in ("read", "decode", "queue"):
            self.metrics.stage(served.name, served.version, "wait" if stage == "queue" else stage, stages[stage])
        return asked, Answered(served, values, max(answer.batch_size for answer in answers), stages)

    async def _predicted_by_somebody(
        self, served: Served, samples: list[Arrays]
    ) -> tuple[Served, list[Answer[Arrays]]]:
        """By `served`, or where it fails by who stands in for it."""
        try:
            return served, await self._predicted(served, samples)
        except (InputError, TimeoutError):
            raise
        except Exception as error:
            self._failed(served)
            other = self.watcher.lineup.stand_in(served)
            if other is None:
                raise
            log.warning("%s: version %d failed on a request, %d answers", served.name, served.version, other.version)
            log.debug("the cause", exc_info=error)
        return other, await self._predicted(other, samples)

    async def _predicted(self, served: Served, samples: list[Arrays]) -> list[Answer[Arrays]]:
        run = self._run(served)
        answers = await asyncio.gather(*(self._batcher.submit(run, sample) for sample in samples))
        check_answers([answer.value for answer in answers], served.signature, len(answers))
        for answer in answers:
            self._guard.answered(served.version, answer.batch_size, answer.predict_s)
        return answers

    def _failed(self, served: Served) -> None:
        """A right request was not answered by this version; judged at once, so that few more are lost."""
        self._guard.failed(served.version)
        self.metrics.version_failed(served)
        self._judge()

    def _offer_to_shadow(self, samples: list[Arrays], values: list[Arrays]) -> None:
        line = self.watcher.lineup
        if line.challenger is not None and line.rollout is not None and line.rollout.mode == "shadow":
            self._shadow.offer(line.challenger, samples, values)

    def _run(self, served: Served) -> Stages:
        """The same for all requests to the same model: only those share a batch."""
        known = self._stages.get(served.version)
        if known is None or known.served is not served:
            loaded = {each.version for each in self.watcher.lineup.loaded}
            self._stages = {version: stages for version, stages in self._stages.items() if version in loaded}
            self._stages[served.version] = known = Stages(served, self.metrics)
        return known


def _slowest(answers: list[Answer[Arrays]]) -> dict[str, float]:
    return {
        "queue": max(answer.queue_s for answer in answers),
        "predict": max(answer.predict_s for answer in answers),
    }
