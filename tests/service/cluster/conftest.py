from __future__ import annotations

from collections.abc import Iterator

import pytest
import standin

from service.settings import Settings


@pytest.fixture(scope="module")
def module_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with a home whose path has a space in it, where the stand-in's epochs take 20 ms."""
    home = tmp_path_factory.mktemp("a home") / "fuse gpt"
    settings = Settings(home=home, tracking_uri="")
    settings.cache.mkdir(parents=True)
    standin.epochs_take(settings.cache, 0.02)
    return settings


@pytest.fixture(scope="module")
def ray_of_two_cpus(module_settings: Settings) -> Iterator[None]:
    """A Ray of our own that has two CPUs to give away; it knows the stand-in."""
    from ray import cloudpickle

    from service.cluster.local_ray import connect

    cloudpickle.register_pickle_by_value(standin)
    with connect(module_settings, cpus=2):
        yield
