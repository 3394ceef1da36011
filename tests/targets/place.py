"""A place that targets write to: how they are configured there, what others see of it, and what its server can do."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from gridhaul.targets.targets_file import ConfiguredTargets, load_targets
from gridhaul.transfer.errors import GridhaulError, NotFound
from gridhaul.transfer.model import Evidence
from gridhaul.transfer.ports.targets import Probed, Targets
from tests.targets.deliveries import SCRATCH, may_write
from tests.targets.outside import Outside

TARGET = "there"  # the name of the target in every section


@dataclass(frozen=True, kw_only=True)
class Traits:
    """The traits of one server that a suite has to know, beside what its probe sees. The defaults are usual."""

    evidence: Evidence = Evidence.READ_BACK  # of an object that was looked at
    proof: Evidence | None = None  # of a whole stage, by the server itself
    lost: frozenset[str] = frozenset()  # what the server does not keep of a name, in the words of the probe's facts
    tells_forms_apart: bool = True  # names that differ only in the normal form of Unicode are two names
    lists: bool = True  # the server tells the names in a folder
    lists_hidden: bool = True  # also those that begin with a dot
    one_wins: bool = True  # of many commits at once to one name
    tells_room: bool = True
    takes_below_object: bool = False  # an object `a/b` where an object `a` is
    takes_above_object: bool = False  # an object `a` where an object `a/b` is
    checks_credentials: bool = True
    gone: type[GridhaulError] = NotFound  # the error of a commit whose stage is gone


@dataclass(frozen=True, kw_only=True)
class Place(ABC):
    """A folder at a server, whose other folders are places of other tests."""

    kind: str = ""  # of the server, as the table of servers names it
    traits: Traits = field(default_factory=Traits)
    more: Mapping[str, Any] = field(default_factory=dict)  # further settings of each target
    facts: dict[str, Any] = field(default_factory=dict, repr=False)  # of the first probe of the server

    @abstractmethod
    def inner(self) -> Self:
        """Return a place in a folder of this one that no test has used yet."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the keys of the target's section in `targets.toml`."""

    @property
    def secrets(self) -> list[str]:
        """The texts of all credentials that nobody may see."""
        sources = [value for key, value in self.settings().items() if key != "access_key_id"]
        return [Path(source["file"]).read_text() for source in sources if isinstance(source, dict)]

    def configured(self, **more: Any) -> Self:
        """Return the place for targets with further settings, which decide what a probe sees."""
        return replace(self, more={**self.more, **more}, facts={})

    @property
    @abstractmethod
    def outside(self) -> Outside:
        """The objects of the place as everybody else sees them."""

    @property
    @abstractmethod
    def down(self) -> dict[str, Any]:
        """Settings of a target whose server does not run, or whose folder is not there."""

    def elsewhere(self, url: str) -> dict[str, Any]:
        """Return settings of a target for the same folder of an HTTP server that has this address."""
        raise NotImplementedError

    @property
    def wrong(self) -> dict[str, Any]:
        """Settings of a target with wrong credentials."""
        raise NotImplementedError

    def section(self, **more: Any) -> str:
        """Return the lines of `targets.toml` for a target; `more` are settings that replace those of the place."""
        settings = {**self.settings(), **self.more, **more}
        lines = "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items() if value is not None)
        return f"[targets.{TARGET}]\n{lines}"

    def load(self, **more: Any) -> ConfiguredTargets:
        """Return the targets of a file with this one section, as a new process has them: nothing is known of them."""
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(self.section(**more))
            file.flush()
            return load_targets(Path(file.name))

    @asynccontextmanager
    async def targets(self, **more: Any) -> AsyncGenerator[Targets]:
        """Yield the targets that `load` returns, and close them."""
        targets = self.load(**more)
        try:
            yield targets
        finally:
            await targets.close()

    @asynccontextmanager
    async def unprobed(self, **more: Any) -> AsyncGenerator[Any]:
        """Yield the target, of which nothing is known."""
        async with self.targets(**more) as targets:
            yield targets.get(TARGET)

    @asynccontextmanager
    async def target(self, **more: Any) -> AsyncGenerator[Any]:
        """Yield the target, which relies on what the first probe saw of the server."""
        async with self.unprobed(**more) as target:
            if isinstance(target, Probed):
                await self.rely(target, **more)
            yield target

    async def rely(self, target: Probed, **more: Any) -> Mapping[str, Any]:
        """Let the target rely on the facts that the first probe saw of the server, and return them.

        The first probe takes about a hundred requests.
        """
        if not self.facts:
            async with self.unprobed() as first:
                self.facts.update(await first.probe(SCRATCH, may_write))
        facts = self.facts_at({**self.settings(), **self.more, **more})
        assert target.rely_on(facts)
        return facts

    def facts_at(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the facts as a probe sees them of a target with the settings: some tell the place's own address."""
        return self.facts


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int) else f'"{value}"'
