"""What the stand and the hooks agree on; the hooks run in schemathesis' own process."""

MIB = 1 << 20
OPEN_BYTES = 20 * MIB
SEALED = b"sealed bytes"
COUNTS_FILE = "FUZZ_COUNTS"
SEALED_ID = "FUZZ_SEALED_ID"
