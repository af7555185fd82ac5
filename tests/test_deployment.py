"""The samples of deploy/ name settings and metrics that exist."""

import re
from pathlib import Path

import pytest
import yaml

from service.settings import Settings

ROOT = Path(__file__).parents[1]

SAMPLES = sorted(path for path in (ROOT / "deploy").rglob("*") if path.is_file())

OF_SCRIPTS = {"SOLEMATE_CATALOG_SOURCE"}
"""What scripts/prepare reads."""


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_settings_exist(sample: Path) -> None:
    """Every variable that a sample names is a setting of the service."""
    known = {f"SOLEMATE_{name.upper()}" for name in Settings.model_fields} | OF_SCRIPTS
    assert set(re.findall(r"SOLEMATE_[A-Z_]+", sample.read_text(encoding="utf-8"))) <= known


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_samples_are_documented(sample: Path) -> None:
    """docs/deployment.md names the file or its folder."""
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert any(
        f"`{path.relative_to(ROOT).as_posix()}" in page for path in (sample, sample.parent) if path != ROOT / "deploy"
    )


def test_manifests_fit_together() -> None:
    """The Kubernetes manifests are objects with a kind, whose claims and settings are there by their names."""
    files = (ROOT / "deploy" / "kubernetes").glob("*.yaml")
    objects = [each for file in files for each in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
    named = {(each["kind"], each["metadata"]["name"]) for each in objects}
    pods = [each["spec"]["template"]["spec"] for each in objects if "template" in each.get("spec", ())]
    assert len(pods) == 2
    for pod in pods:
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        claims = {v["persistentVolumeClaim"]["claimName"] for v in volumes.values() if "persistentVolumeClaim" in v}
        assert {("PersistentVolumeClaim", name) for name in claims - {"shoes"}} <= named
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys()
        assert {("ConfigMap", each["configMapRef"]["name"]) for each in container.get("envFrom", ())} <= named
