"""What a system is asked to be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gridhaul.embedded.errors import UsageProblem
from gridhaul.embedded.programs import Program


@dataclass(frozen=True, kw_only=True)
class Configuration:
    data: Path
    roots: tuple[Path, ...] = ()  # without any: DATA/outgoing
    port: int | None = None  # of the api; it must be free
    preferred_port: int | None = None  # taken if it is free and `port` is not given; else any other is taken
    environment: Mapping[str, str] = field(default_factory=dict)  # settings of api, chunk service and workers
    targets_toml: str | None = None  # None: what is there, at the first start a directory target
    extra_programs: tuple[Program, ...] = ()
    small_children: int = 4  # of the worker for small files, which mostly waits for the database
    large_children: int = 2
    mongo_url: str | None = None  # of a server that is there already; None starts ours
    redis_url: str | None = None

    def check_roots(self) -> None:
        """Raise UsageProblem if files cannot be sent from one of them."""
        for root in self.roots:
            if not root.is_dir():
                raise UsageProblem(f"The root {root} is not a directory.")
            if ":" in str(root.resolve()):
                raise UsageProblem(f"The root {root} has a ':' in its path, which separates roots.")
