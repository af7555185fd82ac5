"""`python -m benchmarks.training`."""

from benchmarks.training.cli import main

main()
