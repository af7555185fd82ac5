"""schemathesis: requests drawn from the service's own description, good ones and bad ones; the form of the answers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.faults.client import KEY
from benchmarks.faults.ground import Ground
from benchmarks.faults.report import Trial
from benchmarks.faults.scale import Scale
from benchmarks.faults.service import run_service

__all__ = ["CHECKS", "HOOKS", "PICTURES", "try_described"]

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
)
"""Not `positive_data_acceptance`: no schema can say which bytes are a picture, or which shoes a catalogue holds."""

REJECTION = "negative_data_rejection"

HOOKS = "benchmarks.faults.hooks"
PICTURES = "SOLEMATE_FAULTS_PICTURES"
"""The variable that tells the hooks where pictures are; not a setting of the service."""

RUN_SECONDS = 900


def try_described(ground: Ground, scale: Scale) -> Iterator[Trial]:
    """Run it over a service with an admin's key, so that reloads are among the requests.

    Twice: with what it draws itself, good and bad; and with real pictures in good requests, where it does not always
    know any more which are good, so that nothing can be said of what should have been rejected.
    """
    with run_service(ground, "described") as service:
        drawn = _run(ground, service.url, scale.examples, pictures=False)
        pictured = _run(ground, service.url, scale.examples, pictures=True)
        said = service.said()
    runs = (drawn, pictured)
    cases = sum(each["test_cases"]["generated"] for each in runs)
    failures = [failure for each in runs for failure in each["failures"]]
    accepted = sum(
        phase["accepted"] for each in runs for phases in each["valid_rates"].values() for phase in phases.values()
    )
    names = "; ".join(f"{each['count']} x {each['title']}" for each in failures)
    yield Trial(
        "schemathesis",
        f"{cases:,} requests drawn from the OpenAPI document of all {drawn['operations']['tested']} operations, "
        f"{len(CHECKS)} checks of each answer",
        f"{names or 'no failure: no 5xx, and every answer as described'}; {accepted:,} good requests were accepted",
        all(each["complete"] and not each["errors"] for each in runs) and not failures and "Traceback" not in said,
        {"version": drawn["schemathesis_version"], "cases": cases, "accepted": accepted, "runs": runs},
    )


def _run(ground: Ground, url: str, examples: int, *, pictures: bool) -> dict[str, Any]:
    """One run; returns schemathesis' own report."""
    folder = ground.scratch("pictured" if pictures else "drawn")
    checks = ",".join(check for check in CHECKS if not (pictures and check == REJECTION))
    hooks = {"SCHEMATHESIS_HOOKS": HOOKS, PICTURES: str(ground.first.folder / "pictures")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
            *("--header", f"X-API-Key: {KEY}", "--checks", checks, "--mode", "positive" if pictures else "all"),
            *("--max-examples", str(examples), "--seed", "0", "--continue-on-failure"),
            *("--report", "json", "--report-json-path", str(folder / "report.json")),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), **(hooks if pictures else {})},
        check=False,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    (folder / "output.txt").write_text(done.stdout + done.stderr, "utf-8")
    told: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    return told
