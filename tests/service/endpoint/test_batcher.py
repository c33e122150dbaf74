"""Batching: never over the limit, never out of order, and never at the cost of a lone request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.endpoint.batcher import Batcher

T = TypeVar("T")
Numbers = Batcher[int, int]


class Doubler:
    """Answers twice the number; keeps the batches; cannot double 13; takes some time."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[list[int]] = []
        self.seconds = seconds

    def run(self, values: Sequence[int]) -> list[int]:
        self.batches.append(list(values))
        time.sleep(self.seconds)
        if 13 in values:
            raise ValueError("13 cannot be doubled")
        return [2 * value for value in values]


def working(batcher: Numbers, use: Callable[[], Awaitable[T]]) -> Awaitable[T]:
    async def with_worker() -> T:
        batcher.start()
        try:
            return await asyncio.wait_for(use(), 20)
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

    async def use(batcher: Numbers) -> float:
        began = time.perf_counter()
        with batcher.expecting():
            pass
        assert (await batcher.submit(doubler.run, 1)).value == 2
        return time.perf_counter() - began

    assert run(use, wait_s=5.0) < 1.0


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

    run(use, wait_s=5.0)
    assert doubler.batches == [[1, 2]]


def test_no_request_waits_longer_than_the_deadline_for_another() -> None:
    doubler = Doubler()

    async def use(batcher: Numbers) -> float:
        with batcher.expecting():
            began = time.perf_counter()
            await batcher.submit(doubler.run, 1)
            return time.perf_counter() - began

    assert 0.04 <= run(use, wait_s=0.05) < 1.0


def test_what_comes_while_the_model_works_is_the_next_batch() -> None:
    doubler = Doubler(seconds=0.05)

    async def use(batcher: Numbers) -> None:
        first = asyncio.create_task(batcher.submit(doubler.run, 0))
        await asyncio.sleep(0.01)
        await asyncio.gather(first, *(batcher.submit(doubler.run, i) for i in range(1, 4)))

    run(use)
    assert doubler.batches == [[0], [1, 2, 3]]


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
    doubler = Doubler(seconds=0.05)

    async def use(batcher: Numbers) -> None:
        first = asyncio.create_task(batcher.submit(doubler.run, 0))
        await asyncio.sleep(0.01)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batcher.submit(doubler.run, 1), 0.005)
        await first
        await batcher.submit(doubler.run, 2)

    run(use)
    assert doubler.batches == [[0], [2]]


def test_a_model_that_loses_an_answer_fails_every_request_it_lost() -> None:
    async def use(batcher: Numbers) -> None:
        with pytest.raises(RuntimeError, match="0 answers came for 1"):
            await batcher.submit(lambda _values: [], 1)

    run(use)
