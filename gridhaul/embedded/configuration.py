"""The configuration of an embedded system."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gridhaul.embedded.errors import UsageProblem
from gridhaul.embedded.programs import Program


@dataclass(frozen=True, kw_only=True)
class Configuration:
    data: Path
    roots: tuple[Path, ...] = ()  # directories to send from; if empty, DATA/outgoing
    port: int | None = None  # port of the api, which must be free
    preferred_port: int | None = None  # used if `port` is None and this port is free; else any free port
    environment: Mapping[str, str] = field(default_factory=dict)  # settings of api, chunk service and workers
    targets_toml: str | None = None  # None: keep targets.toml; the first start writes a directory target
    extra_programs: tuple[Program, ...] = ()
    small_children: int = 4  # processes of the worker for small files; they mostly wait for the database
    large_children: int = 2  # processes of the worker for large files
    mongo_url: str | None = None  # of a running server; None starts one
    redis_url: str | None = None  # of a running server; None starts one

    def check_roots(self) -> None:
        """Raise UsageProblem if a root is not a directory, or has a `:` in its path."""
        for root in self.roots:
            if not root.is_dir():
                raise UsageProblem(f"The root {root} is not a directory.")
            if ":" in str(root.resolve()):
                raise UsageProblem(f"The root {root} has a ':' in its path, which separates roots.")
