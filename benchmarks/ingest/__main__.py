"""`python -m benchmarks.ingest`."""

from benchmarks.ingest.cli import main

if __name__ == "__main__":  # the processes that embed import it, too
    main()
