"""Tests of bad input: the service answers 4xx, changes nothing, and goes on."""

import pytest

pytest.register_assert_rewrite(*(f"tests.bad_input.{name}" for name in ("bench", "discretion", "table", "uploads")))
