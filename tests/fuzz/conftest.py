"""How many examples Hypothesis tries: few here, `FUZZ_EXAMPLES` in `make fuzz`."""

import os

from hypothesis import settings

settings.register_profile("fuzz", max_examples=int(os.environ.get("FUZZ_EXAMPLES", "100")), deadline=None)
settings.load_profile("fuzz")
