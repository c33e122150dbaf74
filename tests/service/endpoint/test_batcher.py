"""Batching: never over the limit, never out of order, and never at the cost of a lone request."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE_S

from service.endpoint.batcher import Batcher

T = TypeVar("T")
Numbers = Batcher[int, int]
NEVER_S = 3600.0  # a deadline that no test lives to see


class Doubler:
    """Answers twice the number; keeps the batches; cannot double 13."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def run(self, values: Sequence[int]) -> list[int]:
        self.batches.append(list(values))
        if 13 in values:
            raise ValueError("13 cannot be doubled")
        return [2 * value for value in values]


class Held(Doubler):
    """Begins, and goes on when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.go = threading.Event(), threading.Event()

    def run(self, values: Sequence[int]) -> list[int]:
        self.began.set()
        assert self.go.wait(PATIENCE_S)
        return super().run(values)


def working(batcher: Numbers, use: Callable[[], Awaitable[T]]) -> Awaitable[T]:
    async def with_worker() -> T:
        batcher.start()
        try:
            return await asyncio.wait_for(use(), PATIENCE_S)
        finally:
            await batcher.close()

    return with_worker()


def run(use: Callable[[Numbers], Awaitable[T]], max_batch_size: int = 4, wait_s: float = 0.0) -> T:
    async def all_of_it() -> T:
        batcher: Numbers = Batcher(max_batch_size, wait_s)
        return await working(batcher, lambda: use(batcher))

    return asyncio.run(all_of_it())


def test_a_lone_request_does_not_wait_for_the_deadline() -> None:
    doubler = Doubler()

    async def use(batcher: Numbers) -> int:
        with batcher.expecting():
            pass
        return (await batcher.submit(doubler.run, 1)).value

    assert run(use, wait_s=NEVER_S) == 2


def test_a_request_waits_for_one_that_is_being_decoded_and_shares_its_batch() -> None:
    doubler = Doubler()

    async def use(batcher: Numbers) -> None:
        async def late() -> None:
            with batcher.expecting():
                await asyncio.sleep(0.05)
            await batcher.submit(doubler.run, 2)

        task = asyncio.create_task(late())
        await asyncio.sleep(0)
        await batcher.submit(doubler.run, 1)
        await task

    run(use, wait_s=NEVER_S)
    assert doubler.batches == [[1, 2]]


def test_no_request_waits_longer_than_the_deadline_for_others_however_many_come_and_go() -> None:
    doubler = Doubler()

    async def come_and_go(batcher: Numbers) -> None:
        while True:
            with batcher.expecting():
                await asyncio.sleep(0.01)

    async def use(batcher: Numbers) -> float:
        others = asyncio.create_task(come_and_go(batcher))
        with batcher.expecting():  # this one never comes
            began = time.perf_counter()
            await batcher.submit(doubler.run, 1)
            waited = time.perf_counter() - began
        others.cancel()
        return waited

    assert run(use, wait_s=0.05) >= 0.04


def test_what_comes_while_the_model_works_is_the_next_batch() -> None:
    held = Held()

    async def use(batcher: Numbers) -> None:
        first = asyncio.create_task(batcher.submit(held.run, 0))
        assert await asyncio.to_thread(held.began.wait, PATIENCE_S)
        others = [asyncio.create_task(batcher.submit(held.run, i)) for i in range(1, 4)]
        await asyncio.sleep(0)  # they are in the queue
        held.go.set()
        await asyncio.gather(first, *others)

    run(use)
    assert held.batches == [[0], [1, 2, 3]]


@settings(max_examples=25)
@given(values=st.lists(st.integers(0, 20), min_size=1, max_size=30), limit=st.integers(1, 7))
def test_every_request_gets_its_own_answer_and_no_batch_is_over_the_limit(values: list[int], limit: int) -> None:
    doubler = Doubler()

    async def use(batcher: Numbers) -> list[object]:
        answers = await asyncio.gather(*(batcher.submit(doubler.run, v) for v in values), return_exceptions=True)
        return [answer if isinstance(answer, BaseException) else answer.value for answer in answers]

    answers = run(use, max_batch_size=limit)
    for value, answer in zip(values, answers, strict=True):
        assert isinstance(answer, ValueError) if value == 13 else answer == 2 * value
    assert max(map(len, doubler.batches)) <= limit


def test_one_bad_request_in_a_batch_fails_alone() -> None:
    doubler = Doubler()

    async def use(batcher: Numbers) -> list[object]:
        return await asyncio.gather(*(batcher.submit(doubler.run, v) for v in (1, 13, 3)), return_exceptions=True)

    answers = run(use)
    assert doubler.batches == [[1, 13, 3], [1], [13], [3]]
    assert [type(answer).__name__ for answer in answers] == ["Answer", "ValueError", "Answer"]


def test_requests_of_two_models_never_share_a_batch() -> None:
    old, new = Doubler(), Doubler()

    async def use(batcher: Numbers) -> None:
        await asyncio.gather(*(batcher.submit(model.run, 1) for model in (old, old, new, new)))

    run(use)
    assert (old.batches, new.batches) == ([[1, 1]], [[1, 1]])


def test_a_request_whose_client_gave_up_is_not_predicted() -> None:
    held = Held()

    async def use(batcher: Numbers) -> None:
        first = asyncio.create_task(batcher.submit(held.run, 0))
        assert await asyncio.to_thread(held.began.wait, PATIENCE_S)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batcher.submit(held.run, 1), 0.005)
        held.go.set()
        await first
        await batcher.submit(held.run, 2)

    run(use)
    assert held.batches == [[0], [2]]


def test_a_model_that_loses_an_answer_fails_every_request_it_lost() -> None:
    async def use(batcher: Numbers) -> None:
        with pytest.raises(RuntimeError, match="0 answers came for 1"):
            await batcher.submit(lambda _values: [], 1)

    run(use)
