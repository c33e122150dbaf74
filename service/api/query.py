"""`only_known`: a misspelt query parameter is an error, not a list of everything."""

from __future__ import annotations

from fastapi import Request
from fastapi.routing import APIRoute

from fusegpt.config import closest
from service.endpoint.problem import ProblemError


def only_known(request: Request) -> None:
    """Raises ProblemError 422 naming the parameter that the route does not have."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not route.include_in_schema:
        return
    known = [parameter.alias for parameter in route.dependant.query_params]
    for name in request.query_params:
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "there are none"
            raise ProblemError(422, f"is no parameter here{closest(name, known)}; {there}", name)
