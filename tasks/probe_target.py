"""The journey that probes a target which is due: it was never probed, its facts are too old, or somebody asked."""

from contextlib import suppress

from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.errors import OutcomeUnknown, TargetUnknown
from gridhaul.transfer.known_targets import PROBEABLE, TargetRecord, TargetState
from gridhaul.transfer.model import RecordId, TaskName
from gridhaul.transfer.naming import scratch_name
from gridhaul.transfer.ports.targets import Fingerprinted, Probed, Target
from tasks.attempt import Meter, Tenure
from tasks.celery import app
from tasks.runtime import Runtime, worker

DAY_SECONDS = 86_400.0


@app.task(name=TaskName.PROBE_TARGET)
def probe_target(record_id: str) -> None:
    """Run the journey `probe` for the record id in the message."""
    worker.run(probe, record_id)


async def probe(runtime: Runtime, record_id: str) -> None:
    """Claim the target's record and probe the target. Do nothing if the claim fails.

    What was seen is noted with its time. After an error the record says which one, and when the next probe follows.
    """
    record = await runtime.probing.records.claim(
        RecordId(record_id), holder=runtime.holder, from_states=PROBEABLE, to_state=TargetState.PROBING
    )
    if record is not None:
        meter = Meter(0, lambda _: {})
        await runtime.probing.attempts.run(record, lambda tenure: _probe(runtime, record, tenure), meter)


async def _probe(runtime: Runtime, record: TargetRecord, tenure: Tenure) -> None:
    target = await _target_of(runtime, record)
    if isinstance(target, Probed):
        await _clear(target, record, tenure)
        await _look_with_writes(runtime, target, record, tenure)
        again_seconds = target.facts_last_seconds
    else:
        await _look(runtime, target, record)
        again_seconds = DAY_SECONDS
    done = {"error": None, "scratch": None, "fruitless_attempts": 0, "wait": None}
    await runtime.probing.records.release(record.lease, TargetState.WAITING, delay_seconds=again_seconds, **done)


async def _target_of(runtime: Runtime, record: TargetRecord) -> Target:
    """Return the target. Raises TargetUnknown if the workers have another configuration of it than the api."""
    with suppress(TargetUnknown):
        target = await runtime.targets.get(record.name)
        if not isinstance(target, Fingerprinted) or target.fingerprint == record.fingerprint:
            return target
    raise TargetUnknown(
        "The workers do not have the section for this target that the api has in its targets file; restart the workers."
    )


async def _clear(target: Probed, record: TargetRecord, tenure: Tenure) -> None:
    """Remove what a probe that was killed may have left."""
    if record.scratch is not None:
        tenure.check()
        await target.clear(record.scratch)


async def _look_with_writes(runtime: Runtime, target: Probed, record: TargetRecord, tenure: Tenure) -> None:
    scratch = scratch_name(record.lease)

    async def before_writing() -> None:
        await runtime.probing.records.renew(record.lease, scratch=scratch)
        tenure.check()

    await runtime.targets.probe(target, scratch, before_writing)


async def _look(runtime: Runtime, target: Target, record: TargetRecord) -> None:
    """See that the target answers, although it promises nothing. Some targets can only be written to."""
    with suppress(OutcomeUnknown):
        await target.find(scratch_name(record.lease), length=0)
    await runtime.probing.records.note(
        record.fingerprint, record.name, {}, abilities=Abilities(), last_seconds=DAY_SECONDS
    )
