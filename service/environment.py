"""The environment's variables with the prefix of the settings: which are known, and what to say of the others."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping

__all__ = ["PREFIX", "check_environment", "is_service_link"]

PREFIX = "SOLEMATE_"

OTHERS = frozenset(
    {
        # Of scripts/, the Dockerfile and docker-compose.yml.
        "CATALOG_FOLDER",
        "CATALOG_SOURCE",
        "MEMORY",
        "MILVUS_MEMORY",
        "MILVUS_PORT",
        "MINIO_PASSWORD",
        "MINIO_USER",
        "PYTHON",
        "TORCH_INDEX",
        # Of `search`.
        "SEARCH_KEY",
        # Of tests/ and benchmarks/.
        "CHROMIUM",
        "TEST_DATA",
        "TEST_LONG",
        "TEST_MILVUS",
    }
)
"""Names without the prefix that are used by something else than the service's settings."""

RENAMED = {"CATALOG": "INDEX"}
"""What a name was once, and what it is now."""

LINK = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)

LINK_NAME = re.compile(r"SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")
"""The ends of the names that Kubernetes gives every container of a namespace for each of its Services."""


def is_service_link(value: object) -> bool:
    """Whether this is what Kubernetes sets `<NAME>_PORT` to for a Service, such as tcp://10.0.0.7:8000."""
    return isinstance(value, str) and LINK.match(value.strip()) is not None


def check_environment(environment: Mapping[str, str], settings: Collection[str]) -> Iterable[str]:
    """What is wrong with the names in the environment, one sentence each. Values are not told: they may be secrets.

    Args:
        environment: all of it.
        settings: the names of the settings, in lower case and without the prefix.
    """
    known = {name.upper() for name in settings} | OTHERS
    for variable, value in sorted(environment.items()):
        name = variable.upper().removeprefix(PREFIX)
        if name == variable.upper():
            continue
        if name == "PORT" and is_service_link(value):
            yield (
                f"{variable} is ignored: it is no port but what Kubernetes tells of a Service named solemate; "
                "`enableServiceLinks: false` in the Pod's specification keeps such variables out"
            )
        elif not (name in known or is_service_link(value) or LINK_NAME.search(name)):
            nearest = [RENAMED[name]] if name in RENAMED else difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {PREFIX}{nearest[0]}?" if nearest else "`solemate settings` lists those that are"
            yield f"{variable} is not a setting, and has no effect; {remedy}"
