"""`--set` of a group that is no part of a spec: by its dotted keys, and nothing else."""

from __future__ import annotations

import pytest

from fusegpt.config import SettingError
from service.commands.group import changed
from service.endpoint.config import EndpointConfig


def test_a_setting_within_a_group_is_changed_and_the_others_keep_their_defaults() -> None:
    config = changed(EndpointConfig, "endpoint", ["endpoint.num_replicas=2", "endpoint.guard.error_share=0.2"])
    assert config is not None
    assert (config.num_replicas, config.guard.error_share) == (2, 0.2)
    assert config.guard.min_requests == EndpointConfig().guard.min_requests
    assert changed(EndpointConfig, "endpoint", []) is None


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("endpoint.max_quue=3", r"endpoint\.max_quue: is no setting here \(did you mean max_queue\?\)"),
        ("endpoint.guard.window_s=-1", r"endpoint\.guard\.window_s: .*greater than 0"),
        ("num_replicas=2", r"num_replicas: is no setting here; there are endpoint\.num_replicas"),
        ("endpoint=2", "endpoint: is no setting here"),
    ],
)
def test_what_is_wrong_is_named_by_its_dotted_key(written: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        changed(EndpointConfig, "endpoint", [written])
