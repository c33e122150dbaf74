"""The spool gives every record once, in order, to one owner, and survives a kill at any byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tracking.spool import Spool, SpoolInUseError, in_use


def drained(spool: Spool) -> list[int]:
    """What waits in it, all dealt with."""
    found = []
    while (record := spool.peek()) is not None:
        found.append(record["n"])
        spool.done()
    return found


def reopened(folder: Path) -> list[int]:
    spool = Spool(folder)
    found = drained(spool)
    spool.close()
    return found


def test_records_come_out_in_the_order_in_which_they_went_in(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for n in range(3):
        spool.append({"n": n})
    assert spool.pending() == 3
    assert drained(spool) == [0, 1, 2]
    spool.append({"n": 3})
    assert drained(spool) == [3]
    assert spool.pending() == 0
    spool.close()


def test_a_reopened_spool_goes_on_where_it_was(tmp_path: Path) -> None:
    first = Spool(tmp_path)
    for n in range(3):
        first.append({"n": n})
    first.peek()
    first.done()
    first.close()
    assert reopened(tmp_path) == [1, 2]


@given(cut=st.integers(min_value=0, max_value=30))
def test_a_kill_within_a_line_loses_that_line_only(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder)
    for n in range(3):
        spool.append({"n": n})
    spool.close()
    content = spool.file.read_bytes()
    spool.file.write_bytes(content[:cut])
    again = Spool(folder)
    again.append({"n": 9})
    assert drained(again) == [*range(content[:cut].count(b"\n")), 9]
    again.close()


def test_a_line_that_is_no_record_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "tracking.jsonl").write_bytes(b'{"n": 0}\n\xff\n7\n{"n": 1}\n')
    assert reopened(tmp_path) == [0, 1]


def test_a_mark_beyond_the_end_or_of_no_number_does_not_break_the_spool(tmp_path: Path) -> None:
    (tmp_path / "tracking.jsonl").write_bytes(b'{"n": 0}\n')
    (tmp_path / "tracking.done").write_text("9999")
    far = Spool(tmp_path)
    far.append({"n": 1})
    assert drained(far) == [1]
    far.close()
    (tmp_path / "tracking.done").write_text("x")
    assert reopened(tmp_path) == [0, 1]


def test_only_one_owner_at_a_time(tmp_path: Path) -> None:
    assert not in_use(tmp_path)
    spool = Spool(tmp_path)
    assert in_use(tmp_path)
    with pytest.raises(SpoolInUseError, match=r"tracking\.jsonl"):
        Spool(tmp_path)
    spool.close()
    assert not in_use(tmp_path)
    Spool(tmp_path).close()
