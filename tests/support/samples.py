"""What this process has counted."""

from service.telemetry import metrics


def value(name: str, **labels: str) -> float:
    """A sample of this process; 0 where there is none yet."""
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0
