"""Tests of bad input: the service answers 4xx, changes nothing, and goes on."""

import pytest

pytest.register_assert_rewrite("tests.bad_input.bench", "tests.bad_input.discretion", "tests.bad_input.table")
