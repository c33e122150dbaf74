"""`Calls`: every call of the protocol, from its bytes to its answer or its status."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from service.api.access import Access
from service.endpoint.body import too_large
from service.endpoint.engine import Engine
from service.endpoint.oip.models import Models, told
from service.endpoint.problem import ProblemError
from service.endpoint.rpc.messages import read_message, write_message
from service.endpoint.rpc.service import answer, question
from service.endpoint.rpc.status import refuse
from service.endpoint.tokens import check_token

log = logging.getLogger(__name__)

OPEN = ("ServerLive", "ServerReady")
SHARED_MEMORY = "memory is not shared with clients, which may be on other machines; send raw_input_contents"
REFUSED = {
    "ModelStreamInfer": "streams are not offered; ask ModelInfer instead",
    **dict.fromkeys(
        ("RepositoryModelLoad", "RepositoryModelUnload"), "the registry says what is served: promote there"
    ),
    **dict.fromkeys(("TraceSetting", "LogSettings"), "traces and logs are set where the endpoint is started"),
    **{
        f"{kind}SharedMemory{verb}": SHARED_MEMORY
        for kind in ("System", "Cuda")
        for verb in ("Status", "Register", "Unregister")
    },
}


class Calls:
    """Answers as the routes under /v2 do, for who has a token where tokens are needed."""

    def __init__(self, engine: Engine, access: Access) -> None:
        self._engine = engine
        self._models = Models(engine)
        self._access = access

    async def __call__(self, call: str, content: bytes, context: Any) -> Any:
        """The answer's message; an empty one, with the status in `context`, where there is none."""
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        try:
            if self._access.needs_token and call not in OPEN:
                check_token(self._access, metadata.get("authorization", ""))
            return await self._answer(call, content, metadata)
        except ProblemError as problem:
            refuse(context, problem)
        except Exception as error:
            log.error("a call failed", exc_info=error)
            refuse(context, ProblemError(500, "the endpoint failed on this request; its log has the cause"))
        return answer(call)

    async def _answer(self, call: str, content: bytes, metadata: Mapping[str, str]) -> Any:
        if call in REFUSED:
            raise ProblemError(501, REFUSED[call])
        if call == "ModelInfer":
            return await self._infer(content, metadata)
        found = await self._told(call, self._asked(call, content))
        return ParseDict(found, answer(call), ignore_unknown_fields=True)

    async def _told(self, call: str, asked: Any) -> dict[str, Any]:
        """The answer as JSON has it."""
        models = self._models
        match call:
            case "ServerLive":
                return {"live": True}
            case "ServerReady":
                return {"ready": self._is_ready("", "")}
            case "ServerMetadata":
                return models.server()
            case "ModelReady":
                return {"ready": self._is_ready(asked.name, asked.version)}
            case "ModelMetadata":
                return models.model(asked.name, asked.version)
            case "ModelConfig":
                return {"config": models.configuration(asked.name, asked.version)}
            case "ModelStatistics":
                return await models.statistics(asked.name, asked.version)
            case "RepositoryIndex":
                return {"models": models.index(asked.ready)}
        raise ProblemError(501, f"{call} is not offered")

    def _is_ready(self, name: str, version: str) -> bool:
        try:
            self._models.served(name, version)
        except ProblemError:
            return False
        return True

    async def _infer(self, content: bytes, metadata: Mapping[str, str]) -> Any:
        engine = self._engine

        async def arrived() -> Any:
            return self._asked("ModelInfer", content)

        with engine.counted("grpc") as count:
            asked = await engine.read(arrived)
            named = asked.value.model_name, asked.value.model_version
            count.served = served = self._models.chosen(metadata, *named)
            request, answers = await engine.answer(
                served, lambda: read_message(asked.value, served.signature, engine.config), asked.seconds
            )
            parameters = told(answers.stages_s, answers.batch_size)
            with engine.metrics.timed(answers.served, "respond"):
                response = write_message(answers.served, request, answers.values, parameters)
            count.answered(answers.served, len(answers.values))
        return response

    def _asked(self, call: str, content: bytes) -> Any:
        if len(content) > self._engine.config.max_body_bytes:
            raise too_large(self._engine.config)
        try:
            return question(call, content)
        except DecodeError as error:
            raise ProblemError(400, f"the message is no request of {call}: {str(error)[:200]}") from None
