"""What every problem has to be."""

import re
from typing import Any

import httpx2


def check_problem(response: httpx2.Response, status: int, field: str | None = None) -> dict[str, Any]:
    """Assert that the response is a problem of this status and field that tells nothing of the inside; returns it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert set(problem) <= {"type", "title", "status", "detail", "field"}
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem.get("field") == field, problem
    assert not re.search(r"Traceback|File \"|\.py\b|/tmp/|0x[0-9a-f]{6}", response.text), response.text
    return problem
