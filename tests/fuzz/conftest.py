"""The number of examples for each test: FUZZ_EXAMPLES random ones; without it, the same few in every run."""

import os

from hypothesis import HealthCheck, settings

FEW = 100
asked = os.environ.get("FUZZ_EXAMPLES")

settings.register_profile(  # not loaded: a loaded profile would apply to all tests that are collected later
    "fuzz",
    max_examples=int(asked or FEW),
    derandomize=asked is None,
    deadline=None,  # another program may use the processor, so the time of an example says nothing
    suppress_health_check=[HealthCheck.too_slow],
)
