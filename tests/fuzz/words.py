"""What a run tells its hooks, which schemathesis loads in a process of its own."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

VARIABLE = "FUZZ_WORDS"
MIB = 1 << 20
OPEN_BYTES = 20 * MIB
SEALED = b"sealed bytes"
BUNDLED = (b"first", b"", b"third")


@dataclass(frozen=True, kw_only=True)
class Words:
    """`spared` names what must not be changed, and what is changed instead; `foreign` are ids of somebody else."""

    counts: str
    sealed_id: str = ""
    bundle: str = ""  # a body for which there is a token
    spared: dict[str, str] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)

    def as_environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls) -> "Words":
        return cls(**json.loads(os.environ[VARIABLE]))

    def write_counts(self, counts: dict[str, int]) -> None:
        Path(self.counts).write_text(json.dumps(counts))
