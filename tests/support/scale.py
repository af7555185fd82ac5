"""How much of a test runs: a short form by default, a long one for those who have the time."""

import os

import pytest

LONG = bool(os.environ.get("SOLEMATE_TEST_LONG"))
"""Many kills, thousands of requests, every kind of damage: minutes instead of seconds."""

long_only = pytest.mark.skipif(not LONG, reason="takes minutes; SOLEMATE_TEST_LONG=1 runs it")
