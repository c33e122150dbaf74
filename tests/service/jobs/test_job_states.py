"""Jobs move only as LEGAL says, whatever is done to them and in whatever order."""

from __future__ import annotations

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from job_factory import job

from service.jobs.memory import MemoryJobStore
from service.jobs.state import ACTIVE, FINAL, LEGAL, STATES, IllegalMoveError
from service.jobs.store import Conflict


class JobMoves(RuleBasedStateMachine):
    """Any state is asked for at any time, by somebody who has seen the newest version or an older one."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryJobStore()

    @initialize()
    def submit(self) -> None:
        self.seen = [self.store.submit(job())]

    @property
    def now(self):  # type: ignore[no-untyped-def]
        return self.seen[-1]

    @rule(to=st.sampled_from(STATES))
    def ask(self, to) -> None:  # type: ignore[no-untyped-def]
        before = self.now
        if to == before.state:
            return
        try:
            self.seen.append(self.store.update(before, state=to, reason="asked"))
        except IllegalMoveError:
            assert to not in LEGAL[before.state]
            assert self.store.get(before.id) == before
        else:
            assert to in LEGAL[before.state]

    @rule(data=st.data(), to=st.sampled_from(STATES))
    @precondition(lambda self: len(self.seen) > 1)
    def ask_too_late(self, data: st.DataObject, to: str) -> None:
        stale = data.draw(st.sampled_from(self.seen[:-1]))
        try:
            self.store.update(stale, state=to)
        except (Conflict, IllegalMoveError):
            assert self.store.get(stale.id) == self.now
        else:
            raise AssertionError("a version that is no more was changed")

    @invariant()
    def the_log_tells_the_way(self) -> None:
        told = [event.data["to"] for event in self.store.events(self.now.id)]
        assert told == [each.state for each in self.seen]

    @invariant()
    def only_what_has_ended_has_an_end(self) -> None:
        assert (self.now.ended is not None) == (self.now.state in FINAL)


JobMoves.TestCase.settings = hypothesis_settings(max_examples=40, stateful_step_count=15)
test_jobs_move_only_as_is_legal = JobMoves.TestCase


def test_every_state_can_be_reached_and_every_other_left() -> None:
    reached, border = {"queued"}, {"queued"}
    while border:
        border = {after for state in border for after in LEGAL[state]} - reached  # type: ignore[index]
        reached |= border
    assert reached == set(STATES)
    assert {"stopped", "succeeded", "failed"} == FINAL
    for state in set(STATES) - FINAL:
        assert _leads_to_an_end(state), state


def test_what_is_active_can_always_be_lost() -> None:
    """A process may vanish at any time: each active state has a way out that needs no process."""
    for state in ACTIVE:
        assert LEGAL[state] & {"queued", "paused", "stopped"}


def _leads_to_an_end(state: str) -> bool:
    seen, border = set(), {state}
    while border:
        seen |= border
        border = {after for each in border for after in LEGAL[each]} - seen  # type: ignore[index]
    return bool(seen & FINAL)
