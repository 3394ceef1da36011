"""`server_errors`, which reads the services' logs for all tests of this package."""

from pathlib import Path

import pytest

from tests.bad_input.server_errors import server_errors

HARMLESS = '{"event": "request", "status": 404}\n{"event": "request", "status": 507}\nINFO: Started [1]\n"text"\n'


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "request", "status": 500}',
        '{"event": "request", "status": 502}',
        '{"event": "unexpected_error", "exception": "ValueError"}',
        "Traceback (most recent call last):",
    ],
)
def test_line_of_a_server_error_is_found_and_no_other(tmp_path: Path, line: str) -> None:
    log = tmp_path / "api.log"
    log.write_text(HARMLESS + line + "\n" + HARMLESS)
    assert server_errors(log) == [line]
    assert server_errors(log, since_byte=len(HARMLESS + line)) == []
