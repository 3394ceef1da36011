"""The invariants that hold after every step of the content machine."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant

from gridhaul.transfer.digest import DIGEST_BYTES
from gridhaul.transfer.model import Content
from gridhaul.transfer.ports.contents import Intake
from gridhaul.transfer.states import ContentState
from tests.contracts.beneath import Beneath
from tests.contracts.modelled_content import MOST_CHUNKS, Modelled
from tests.contracts.ports import Ports

T = TypeVar("T")

NOT_HELD = bytes(1 + DIGEST_BYTES)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The storage under test, and the event loop to which its client belongs."""

    ports: Ports
    beneath: Beneath
    loop: asyncio.AbstractEventLoop


class CheckedContents(RuleBasedStateMachine):
    """A state machine whose contents are compared with their models. A subclass sets `bench`."""

    bench: ClassVar[Bench]

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Modelled] = []

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.bench.loop.run_until_complete(coroutine)

    def intake(self, one: Modelled) -> Intake:
        return self.bench.ports.intake_with(one.inline_limit)

    def refused(self, coroutine: Coroutine[Any, Any, object], *errors: type[Exception]) -> None:
        with pytest.raises(errors):
            self.wait(coroutine)

    @invariant()
    def what_was_acknowledged_is_held(self) -> None:
        for one in self.all:
            if one.live:
                self._assert_held(one)

    def _assert_held(self, one: Modelled) -> None:
        entries = self.wait(self.intake(one).digests(one.id, first=0, count=MOST_CHUNKS))
        assert len(entries) == one.count * len(NOT_HELD)
        for n in range(one.count):
            entry = entries[n * len(NOT_HELD) : (n + 1) * len(NOT_HELD)]
            if n in one.acknowledged:
                assert entry == one.entry(n, one.acknowledged[n])
            else:
                assert entry in {NOT_HELD, *(one.entry(n, kind) for kind in one.perhaps.get(n, ()))}

    @invariant()
    def records_are_as_they_should_be(self) -> None:
        for one in self.all:
            content = self.wait(self.bench.ports.contents.get(one.id))
            if one.swept:
                assert content is None
                continue
            assert content is not None
            assert (content.fence, set(content.refs)) == (one.fence, one.refs)
            expected = ContentState.SEALED if one.sealed else ContentState.OPEN
            assert content.state is (expected if one.live else ContentState.DELETING)
            if one.sealed is not None:
                assert unchanging(content) == unchanging(one.sealed)

    @invariant()
    def nothing_is_left_of_what_was_swept(self) -> None:
        for one in self.all:
            if not one.live and not one.untidy:
                assert self.wait(self.bench.beneath.remains(one.id)) <= (set() if one.swept else {"record"})


def unchanging(content: Content) -> tuple[object, ...]:
    """Return the fields of a sealed content that never change. Fence and refs may change."""
    return (content.length, content.layout, content.sha256, content.manifest_root)
