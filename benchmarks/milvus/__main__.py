"""`python -m benchmarks.milvus`."""

from benchmarks.milvus.cli import app

if __name__ == "__main__":
    app()
