"""The displays for logs of uploads and downloads: the first line of each stage comes at once."""

import pytest

from gridhaul.cli.get_display import Lines
from gridhaul.cli.put_display import PutLines
from tests.cli.scripted_api import MIB


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()]


def test_download_says_at_once_where_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    lines = Lines(clock=lambda: now[0])
    lines.begin("x (10.0 MiB)", 10 * MIB)
    for now[0], done in [(100.0, MIB), (104.0, 2 * MIB), (105.0, 3 * MIB), (106.0, 10 * MIB)]:
        lines.show(done)
    assert said(capsys) == ["x (10.0 MiB)", *(f"{done} MiB of 10.0 MiB" for done in ("1.0", "3.0", "10.0"))]


def test_upload_says_at_once_that_another_stage_has_begun(capsys: pytest.CaptureFixture[str]) -> None:
    lines = PutLines(clock=lambda: 100.0)
    lines.begin("x (2.0 MiB)", 2 * MIB)
    lines.sent(2 * MIB)
    for word in ("storing", "delivering"):
        lines.follow(word, MIB, 2 * MIB)
    stages = ["storing 1.0 MiB of 2.0 MiB", "delivering 1.0 MiB of 2.0 MiB"]
    assert said(capsys) == ["x (2.0 MiB)", "sent 2.0 MiB of 2.0 MiB", *stages]
