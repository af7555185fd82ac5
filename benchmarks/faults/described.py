"""schemathesis: requests drawn from the service's own description, good ones and bad ones; the form of the answers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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

HOOKS = "benchmarks.faults.hooks"
PICTURES = "SOLEMATE_FAULTS_PICTURES"
"""The variable that tells the hooks where pictures are; not a setting of the service."""

RUN_SECONDS = 900


def try_described(ground: Ground, scale: Scale) -> Iterator[Trial]:
    """Run it over a service with an admin's key, so that reloads are among the requests."""
    report = ground.scratch("described") / "report.json"
    with run_service(ground, "described") as service:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json"),
                *("--header", f"X-API-Key: {KEY}", "--checks", ",".join(CHECKS)),
                *("--max-examples", str(scale.examples), "--seed", "0", "--continue-on-failure"),
                *("--report", "json", "--report-json-path", str(report)),
            ],
            cwd=report.parent,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
                "SCHEMATHESIS_HOOKS": HOOKS,
                PICTURES: str(ground.first.folder / "pictures"),
            },
            check=False,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
        )
        said = service.said()
    (report.parent / "output.txt").write_text(done.stdout + done.stderr, "utf-8")
    told = json.loads(report.read_text("utf-8"))
    cases, failures = told["test_cases"]["generated"], told["failures"]
    names = "; ".join(f"{each['count']} x {each['title']}" for each in failures)
    yield Trial(
        "schemathesis",
        f"{cases:,} requests drawn from the OpenAPI document of all {told['operations']['tested']} operations, "
        f"{len(CHECKS)} checks of each answer",
        names or "no failure: no 5xx, and every answer as described",
        done.returncode == 0 and told["complete"] and not (failures or told["errors"] or "Traceback" in said),
        {
            "version": told["schemathesis_version"],
            "cases": cases,
            "failures": failures,
            "errors": told["errors"],
            "accepted": sum(each["accepted"] for phases in told["valid_rates"].values() for each in phases.values()),
            "valid_rates": told["valid_rates"],
        },
    )
