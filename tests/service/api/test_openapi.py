"""The API answers as its OpenAPI says, whatever it is asked: schemathesis asks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import schemathesis
from api_callers import IdleRunner
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as bounds
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks as openapi_checks

from service.api.app import create_app
from service.jobs.job import Job, now
from service.jobs.memory import MemoryJobStore
from service.registry import Registry
from service.settings import Settings

TOKEN = "t" * 32

# Not held: that everything which the schema allows is accepted. An experiment's own rules (is this name registered,
# does this head divide that width) are told by a 422, not by a schema.
CHECKS = (
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.negative_data_rejection,
    openapi_checks.ignored_auth,
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> schemathesis.BaseSchema:
    """With two jobs under names that are often drawn; both have ended, so that to follow them ends."""
    folder: Path = tmp_path_factory.mktemp("api")
    (folder / "tokens").write_text(f"ann admin {hashlib.sha256(TOKEN.encode()).hexdigest()}")
    settings = Settings.read({"FUSEGPT_HOME": str(folder), "FUSEGPT_TOKENS": str(folder / "tokens")})
    store = MemoryJobStore()
    for name in ("0", "A"):
        job = Job(id=f"id{name}", name=name, experiment="fusion_waypoints", spec={"experiment": "x"}, created=now())
        store.update(store.submit(job), state="failed", reason="it broke")
    app = create_app(settings, store, IdleRunner(), Registry(settings), dispatch=False)
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_is_as_described(api: schemathesis.BaseSchema, mode: GenerationMode) -> None:
    """What fits the description, and what does not. Not by schemathesis' plugin: it breaks on pytest 9.2."""
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) >= 16
    failed = {operation.label: error for operation in operations if (error := _first_failure(operation, mode))}
    assert not failed, "\n\n".join(f"{label}\n{error}" for label, error in failed.items())


def _first_failure(operation: schemathesis.APIOperation, mode: GenerationMode) -> str:
    @bounds(max_examples=8, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
    @seed(0)
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, checks=list(CHECKS))

    try:
        ask()
    except Unsatisfiable:
        return ""  # nothing can be wrong about an operation without parameters
    except (Exception, FailureGroup) as error:
        return "\n".join(str(each) for each in getattr(error, "exceptions", [error]))
    return ""
