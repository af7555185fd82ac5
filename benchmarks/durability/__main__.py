"""`python -m benchmarks.durability`."""

from benchmarks.durability.cli import main

if __name__ == "__main__":  # the processes that write and read import it, too
    main()
