"""The values that a run passes to its hooks, which schemathesis loads in its own process."""

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
    """The values for the hooks.

    `spared` maps each name or id that requests must not change to its replacement. `foreign` are the ids of records
    that belong to another account.
    """

    counts: str  # the path of the file for the counts of answers
    sealed_id: str = ""
    held_id: str = ""  # an upload that takes chunks under the fence 1, and that no other request names
    bundle: str = ""  # a body of a bundle; the caller's token is good for its table
    spared: dict[str, str] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)

    def as_environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls) -> "Words":
        return cls(**json.loads(os.environ[VARIABLE]))

    def write_counts(self, counts: dict[str, int]) -> None:
        Path(self.counts).write_text(json.dumps(counts))
