"""Times at a constant rate are counted from when a request was due: a slow server cannot hide behind its clients."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from benchmarks.endpoint_rate import Turn, between, constant_rate, measured

ANSWER = b"HTTP/1.1 %d OK\r\nContent-Length: 0\r\n\r\n"


def turn_of(handle: Callable[[], Awaitable[int]], rate: float, seconds: float) -> Turn:
    """What comes of asking a server whose every answer is what `handle` gives."""

    exchanges: list[asyncio.Task[None] | None] = []

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        exchanges.append(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(ANSWER % await handle())
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def ask() -> Turn:
        server = await asyncio.start_server(exchange, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            return await constant_rate((f"http://127.0.0.1:{port}/", {}, b""), rate, seconds)
        finally:
            server.close()
            await asyncio.gather(*(task for task in exchanges if task))

    return asyncio.run(ask())


def one_at_a_time(seconds: float) -> Callable[[], Awaitable[int]]:
    lock = asyncio.Lock()

    async def handle() -> int:
        async with lock:
            await asyncio.sleep(seconds)
        return 200

    return handle


def test_what_waits_for_others_is_counted_as_waiting() -> None:
    turn = turn_of(one_at_a_time(0.05), rate=40, seconds=0.5)  # twice what it can answer
    assert len(turn.times_ms) == 20
    assert max(turn.times_ms) > 400, "the last one waits for half of those before it"
    assert len(turn.times_ms) / turn.seconds < 22, "and what is answered a second is what the server can do"


def test_what_was_refused_has_no_time_and_is_counted() -> None:
    async def refuse() -> int:
        return 503

    turn = turn_of(refuse, rate=50, seconds=0.2)
    assert (turn.times_ms, turn.others) == ([], 10)


def test_stages_are_the_means_of_what_came_between_two_looks() -> None:
    told = 'fusegpt_stage_seconds_sum{stage="read"} %s\nfusegpt_stage_seconds_count{stage="read"} %s\n'
    kind = "# TYPE fusegpt_stage_seconds histogram\n"
    before, after = measured(kind + told % (1.0, 100.0)), measured(kind + told % (1.4, 300.0))
    assert between(before, after) == {"read": pytest.approx(2.0)}
    assert between(after, after) == {}
