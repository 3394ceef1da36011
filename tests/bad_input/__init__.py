"""Input that is wrong: the answer is the client's fault, and the service goes on."""

import pytest

pytest.register_assert_rewrite("tests.bad_input.bench", "tests.bad_input.discretion", "tests.bad_input.table")
