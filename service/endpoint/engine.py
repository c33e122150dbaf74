"""`Engine`: one request from its form to its answer, and the limits on the way. No routes, no Ray."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
from PIL import Image

from fusegpt.signature import InputError
from service.endpoint.batcher import Answer, Batcher
from service.endpoint.champion import Arrays, Served, Watcher, check_answers
from service.endpoint.config import EndpointConfig
from service.endpoint.decode import decode
from service.endpoint.form import Part, read_form
from service.endpoint.problem import ProblemError, of_inputs

log = logging.getLogger(__name__)

DECODERS = 2


class Engine:
    """Reads, decodes, batches, predicts and encodes, with the model that the watcher holds."""

    def __init__(self, watcher: Watcher, config: EndpointConfig) -> None:
        self.watcher = watcher
        self.config = config
        self._waiting = 0
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        self._batcher: Batcher[Arrays, Arrays] = Batcher(config.max_batch_size, config.batch_wait_ms / 1000)
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

    def served(self) -> Served:
        """The model that answers now. Raises ProblemError 503 where there is none."""
        if self.watcher.served is None:
            raise ProblemError(503, self.watcher.waiting_for, headers={"Retry-After": "5"})
        return self.watcher.served

    async def predict(self, headers: Mapping[str, str], body: AsyncIterator[bytes]) -> dict[str, Any]:
        """The answer to one multipart request, as JSON values. Raises ProblemError."""
        served = self.served()
        self._check_room()
        began = time.perf_counter()
        parts = await self._read(headers, body)
        read_s = time.perf_counter() - began
        self._check_room()
        self._waiting += 1
        try:
            return await self._answer(served, parts, read_s)
        finally:
            self._waiting -= 1

    def _check_room(self) -> None:
        if self._waiting >= self.config.max_queue:
            detail = f"{self._waiting} requests are waiting already"
            raise ProblemError(503, detail, headers={"Retry-After": "1", "Connection": "close"})

    async def _read(self, headers: Mapping[str, str], body: AsyncIterator[bytes]) -> dict[str, Part]:
        try:
            async with asyncio.timeout(self.config.read_timeout_s):
                return await read_form(headers, body, self.config)
        except TimeoutError:
            detail = f"the request did not arrive within {self.config.read_timeout_s:g} s"
            raise ProblemError(408, detail, headers={"Connection": "close"}) from None

    async def _answer(self, served: Served, parts: dict[str, Part], read_s: float) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self.config.timeout_s):
                with self._batcher.expecting():
                    inputs = await self._decode(served, parts)
                decode_s = time.perf_counter() - began
                answer = await self._batcher.submit(served.predictor.predict, inputs)
        except TimeoutError:
            raise ProblemError(504, f"there was no answer within {self.config.timeout_s:g} s") from None
        except InputError as error:
            raise of_inputs([error]) from None
        return _encoded(served, answer, {"read": read_s, "decode": decode_s})

    async def _decode(self, served: Served, parts: dict[str, Part]) -> Arrays:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._decoders, decode, parts, served.signature, self.config)


def _encoded(served: Served, answer: Answer[Arrays], stages_s: Mapping[str, float]) -> dict[str, Any]:
    check_answers([answer.value], served.signature, 1)
    stages = {**stages_s, "queue": answer.queue_s, "predict": answer.predict_s}
    return {
        **{name: _plain(value) for name, value in answer.value.items()},
        "model": {"name": served.name, "version": served.version},
        "timings_ms": {stage: round(1000 * seconds, 3) for stage, seconds in stages.items()},
        "batch_size": answer.batch_size,
    }


def _plain(value: np.ndarray[Any, Any]) -> Any:
    """Lists of numbers; one number where there is only one."""
    return value.item() if value.shape in ((), (1,)) else value.tolist()
