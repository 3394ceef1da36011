"""Programs of tests: what a missing one does to a test."""

import pytest

from tests.servers.programs import located


def test_missing_program_skips_the_test_and_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="Debian: some-package"):
        located("no-such-program", package="some-package")


def test_missing_program_fails_the_test_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(AssertionError, match="Debian: some-package"):
        located("no-such-program", package="some-package")
