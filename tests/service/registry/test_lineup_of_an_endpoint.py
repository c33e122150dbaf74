"""A real registry and the endpoint's watcher: what is tried, crowned and withdrawn in one is so in the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_registry import registry, versions  # noqa: F401  fixtures

from fusegpt.signature import Signature, Tensor
from service.endpoint.champion import RegistryChampions
from service.endpoint.config import EndpointConfig
from service.endpoint.watcher import Watcher
from service.registry import Registry, Rollout
from service.settings import Settings

pytestmark = pytest.mark.usefixtures("versions")


class Echo:
    """Answers what it is given."""

    signature = Signature(
        inputs=(Tensor(name="x", dtype="float32", shape=(1,)),),
        outputs=(Tensor(name="x", dtype="float32", shape=(1,)),),
    )

    def warm_up(self) -> None:
        """Nothing in it is cold."""

    def predict(self, inputs: Sequence[Mapping[str, np.ndarray[Any, Any]]]) -> list[dict[str, np.ndarray[Any, Any]]]:
        return [dict(given) for given in inputs]


def load(folder: Path) -> Echo:
    assert (folder / "model.safetensors").exists()
    return Echo()


@pytest.fixture
def watchers(settings: Settings) -> list[Watcher]:
    """Two replicas."""
    config = EndpointConfig(withdraw_after=1)
    return [Watcher("toy", RegistryChampions(settings, "toy"), config, load) for _ in range(2)]


def lines(watchers: list[Watcher]) -> list[tuple[int | None, int | None, int | None]]:
    """Champion, former and challenger of each, after a poll."""
    for watcher in watchers:
        watcher.poll()
    found = [watcher.lineup for watcher in watchers]
    return [
        tuple(served and served.version for served in (line.champion, line.former, line.challenger)) for line in found
    ]


def test_what_one_replica_withdraws_is_withdrawn_in_the_registry_and_in_the_other(
    registry: Registry,  # noqa: F811
    watchers: list[Watcher],
) -> None:
    registry.promote("toy", 1)
    registry.promote("toy", 2)
    registry.promote("toy", 3, rollout=Rollout(mode="canary", share=0.2))
    assert lines(watchers) == [(2, 1, 3)] * 2
    assert watchers[0].withdraw(3, "NaN")
    assert lines(watchers) == [(2, 1, None)] * 2
    registry.promote("toy", 3)
    assert lines(watchers) == [(3, 2, None)] * 2
    assert watchers[0].withdraw(3, "half of its requests failed")
    assert watchers[1].withdraw(3, "a third of its requests failed")
    assert lines(watchers) == [(2, 1, None)] * 2
    assert registry.version("toy", 3).withdrawn == "rolled back: half of its requests failed"
    registry.promote("toy", 3)
    assert lines(watchers) == [(3, 2, None)] * 2


def test_files_that_were_exchanged_never_answer_and_the_alias_goes_back(
    settings: Settings,
    registry: Registry,  # noqa: F811
    watchers: list[Watcher],
) -> None:
    registry.promote("toy", 2)
    assert lines(watchers) == [(2, None, None)] * 2
    registry.promote("toy", 3)
    run = registry.version("toy", 3).run_id
    for stored in (settings.home / "mlartifacts" / run).rglob("model.safetensors"):
        stored.write_bytes(b"another model")
    for copied in (settings.cache / "models" / "toy" / "3").iterdir():
        copied.write_bytes(b"broken")
    assert [line[0] for line in lines(watchers)] == [2, 2]
    lines(watchers)
    champion = registry.champion("toy")
    assert champion is not None
    assert champion.number == 2
    assert "SHA-256" in registry.version("toy", 3).withdrawn
