"""What may differ between two machines that serve the same vectors: everything here is the environment's."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings"]

MIB = 2**20


class Settings(BaseSettings):
    """The service's settings, read from `SOLEMATE_<NAME>`; the command line's options win over them.

    Nothing in here changes a vector; what does, lives in the checkpoint.
    """

    model_config = SettingsConfigDict(env_prefix="SOLEMATE_", frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="The address to listen on; 0.0.0.0 is every interface.")
    port: int = Field(default=8000, ge=0, le=65535, description="The port to listen on; 0 takes any that is free.")
    checkpoint: Path = Field(default=Path("artifacts/checkpoint"), description="The checkpoint's folder.")
    catalog: Path = Field(default=Path("artifacts/catalog"), description="The indexed catalogue's folder.")
    device: str = Field(default="cpu", description="Where the network runs: auto, cpu or cuda.")
    threads: int = Field(default=1, ge=1, le=256, description="Threads that one embedding or one search may use.")
    max_upload_bytes: int = Field(default=20 * MIB, ge=1, description="Bytes of one picture.")
    max_body_bytes: int = Field(default=64 * MIB, ge=1, description="Bytes of one request, with all its pictures.")
    max_pixels: int = Field(default=50_000_000, ge=1, description="Width times height of one picture.")
    max_images: int = Field(default=32, ge=1, le=1000, description="Pictures in one request for embeddings.")
    max_k: int = Field(default=100, ge=1, le=10_000, description="Shoes in one answer.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="What is logged.")

    def describe(self) -> str:
        """All settings in one line, for the log; the values of secrets are masked."""
        return " ".join(f"{name}={value}" for name, value in self.model_dump(mode="json").items())
