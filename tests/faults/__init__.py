"""Faults: the rows of the table "Faults", each done to real processes, many times, and the three invariants after each.

    make faults                        all rows, once
    make faults RUNS=5 ONLY=7,8,storm  some of them, five times; scenarios such as `storm` run only when they are named
    make faults SEED=12                the random moments of an earlier run (it printed its seed)

To add a row, write a function in the file `rows_<stage>.py` (any such file is found):

    @fault(7, stage="store", title="kill -9 of the worker child in mid-file")
    def child_killed(world: World) -> None:
        held = hold_in_mid_file(world, world.make_file(96 * MIB), to="hashed")  # prepared, and half of it stored
        with world.recovers():                                   # from the fault to the work being done
            world.holder(held.file_id).kill()
            held.release()
            world.operator.delivered(held.file_id, seconds=45)

It fails by AssertionError and says why; `raise NotAllowed("why")` counts it as skipped. Several functions may carry
the same number: they are one row. Options: `only_when_named=True` for scenarios, `settings={…}` for a system of its own
with these settings, which rows with the same settings share in each round.

A row never hopes to hit a moment: it makes the system stand still there (held.py, `Hold`), or it finds out whether it
did hit it, and tries again. No time is asserted but those of the table; a machine may be busy.

What a row may use is `World` (world.py). Targets, each with its directory `world.remotes[name]`:

    hashed     rclone's WebDAV, ETags are SHA-256, behind the proxy world.proxies["hashed"]
    webdav     the same without digests: objects are read back; world.proxies["webdav"]
    http       a plain PUT, which cannot commit atomically; world.proxies["http"]
    directory

The workers reach the chunk service through world.proxies["chunk_service"]. A proxy does what is planned with it
(tests/servers/disturbances.py): `proxy.plan(Flip(side=Side.REQUEST, at_byte=k), method="PUT", skip=n)`, `Cut`, `Hold`,
`Stall`, `LoseAnswer`, or `Answer(status=503, headers=…)`. A bad target is a good one behind such plans:
`Answer(status=302, …)`, `Answer(status=201)` without the object, `Flip` for other bytes, `Stall(seconds=math.inf)`
for a hang.

After every row the harness checks by itself (invariants.py), so a row only asserts what its line of the table says:

- no wrong byte: every delivered object is one of the sources (`make_file`, or `world.accept(path)` for bytes from
  elsewhere), and at no moment was anything else seen under a final name (all targets but `http`);
- at most one commit a delivery, no object that no delivery has made, no chunk twice;
- every record is in a final state, nothing is leased, and nothing is left once maintenance has run. The time
  that a late request may take (SWEEP_SECONDS) is taken as gone by.

Then the records, sources and objects are removed: each row begins with an empty system. What a row stops, pauses or
kills is running again by then; after a failed row a new system is started, and the old one's directory is kept.
"""
