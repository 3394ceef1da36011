"""How many examples: FUZZ_EXAMPLES for each test, each time others; without it the same few, in seconds."""

import os

from hypothesis import HealthCheck, settings

FEW = 100
asked = os.environ.get("FUZZ_EXAMPLES")

settings.register_profile(  # not loaded: it would become that of all tests which are collected later
    "fuzz",
    max_examples=int(asked or FEW),
    derandomize=asked is None,
    deadline=None,  # another program may hold the processor
    suppress_health_check=[HealthCheck.too_slow],
)
