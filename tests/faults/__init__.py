"""Faults: each row of the table "Faults" is done to real processes, many times, and checked against three invariants.

    make faults                        all rows, once
    make faults RUNS=5 ONLY=7,8,storm  the named rows, five times; a scenario such as `storm` runs only when it is named
    make faults SEED=12                all rows, at the random moments of the run that printed this seed
    make faults LANES=1                all rows, one after the other
    make faults ONLY=36 RUNS=5 SIZE=1GiB    what is sent twice of a file of 1 GiB after `kill -9` of its worker

To add a row, write a function in a file `rows_<stage>.py`; the harness imports every such file:

    @fault(7, stage="store", title="kill -9 of the worker child in mid-file")
    def child_killed(world: World) -> None:
        held = hold_in_mid_file(world, world.make_file(96 * MIB), to="hashed")  # half of the file is stored
        with world.recovers():                                   # measures the time until the delivery
            world.holder(held.file_id).kill()
            held.release()
            world.operator.delivered(held.file_id, seconds=45)

A row fails by an AssertionError whose message says why; `raise NotAllowed("why")` counts the row as skipped. Functions
with the same number are one row. Options of `fault`: `only_when_named=True` marks a scenario; `settings={…}` gives the
row a system of its own with these settings, which rows with the same settings share in each round. Two rows run side by
side (LANES=n), each on a system of its own; `alone=True` lets no other row run beside one that measures times
or memory.

A row does not rely on luck to hit a moment: the row makes the system stand still at the moment (held.py, `Hold`), or
checks whether the fault hit the moment, and tries again if it did not. A row asserts no times but those of the table,
because the machine may be busy.

A row acts through `World` (world.py). These are the targets, each with its directory `world.remotes[name]`:

    hashed     rclone's WebDAV, ETags are SHA-256, behind the proxy world.proxies["hashed"]
    webdav     rclone's WebDAV without digests: objects are read back; world.proxies["webdav"]
    apache     Apache's WebDAV, which has partial PUT; world.proxies["apache"]
    http       a plain PUT, which cannot commit atomically; world.proxies["http"]
    directory
    sftp       OpenSSH's sshd; the proxy world.stand.sftp is between sshd and its SFTP server
    s3         rclone's S3, which overwrites always and believes wrong SHA-256; world.proxies["s3"]
    seaweedfs  SeaweedFS's S3, which refuses taken names and wrong digests; world.proxies["seaweedfs"]. It runs after
               world.start_seaweedfs(). Its objects lie in no directory: copies are made when a row ends

The workers reach the chunk service through world.proxies["chunk_service"]. A proxy disturbs requests as planned
(tests/servers/disturbances.py): `proxy.plan(Flip(side=Side.REQUEST, at_byte=k), method="PUT", skip=n)`, `Cut`, `Hold`,
`Stall`, `LoseAnswer`, or `Answer(status=503, headers=…)`. A bad target is a good target behind such plans:
`Answer(status=302, …)` redirects, `Answer(status=201)` pretends to have stored the object, `Flip` changes the stored
bytes, and `Stall(seconds=math.inf)` hangs. `world.between(target)` is the proxy of either protocol, and protocols.py
has the methods that it notes. `Strike` (struck.py) lets a row act when a certain byte passes.

Rows of batches start a tree of sources as one `SentBatch` (batches.py), whose method `whole` requires that every file
arrived everywhere.

After every row the harness checks three invariants (invariants.py), so a row only asserts what its line of the table
says:

- No byte is wrong: every delivered object has the bytes of a source (`make_file`, or `world.accept(path)` for bytes
  from elsewhere), and the watcher never saw other bytes under a final name (at all targets but `http` and
  `seaweedfs`).
- There is no duplicate: a delivery commits at most once, every object belongs to a delivery, and no chunk is stored
  twice.
- Nothing is left over: every record is in a final state, no record is leased, and maintenance has removed all
  leftovers. The harness makes maintenance due now, as if the longest time of a late request (SWEEP_SECONDS) had passed.
  The counts, the digest and the deliveries of a batch that is DONE are those of its members (batch_invariants.py).

Then the harness removes the records, sources and objects, so that each row begins with an empty system. By then every
process that the row stopped, paused or killed runs again. After a failed row the harness starts a new system, and keeps
the directory of the failed system.
"""
