from __future__ import annotations

from fusegpt.config import SettingError
from service.cluster.network import interface_of
from service.cluster.trainable import sentence
from service.cluster.watcher import last_cause


def test_an_error_made_for_people_speaks_for_itself() -> None:
    assert (
        sentence(SettingError("model.n_head: must divide\n  model.n_embd")) == "model.n_head: must divide model.n_embd"
    )


def test_any_other_error_is_named_by_its_class() -> None:
    assert sentence(KeyError("x")) == "KeyError: 'x'"
    assert sentence(MemoryError()) == "MemoryError: no message"


def test_of_many_failures_the_last_ones_cause_is_told() -> None:
    said = (
        "Failure # 1 (occurred at now)\nOSError: an old one\n"
        "Failure # 2 (occurred at now)\nray::init()\n  File x\nModuleNotFoundError: No module named 'experiments'\n"
    )
    assert last_cause(said) == "ModuleNotFoundError: No module named 'experiments'"
    assert last_cause("Failure # 1 (now)\nThe actor died unexpectedly.\n") == "The actor died unexpectedly."
    assert last_cause("") == "no word of why"


def test_the_interface_of_an_address_is_found() -> None:
    assert interface_of("127.0.0.1") == "lo"
    assert interface_of("203.0.113.77") == ""
