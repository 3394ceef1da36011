"""The count of passed-over messages, and the log of them."""

import logging

import pytest

from tasks.passed_over import PassedOver


def test_every_message_is_counted_and_a_flood_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    passed_over = PassedOver()
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            passed_over.note(queue="small", length_bytes=7, kept=False)
    assert passed_over.count() == 1000
    assert caplog.messages[0] == "message_passed_over queue=small bytes=7 kept=False count=1"
    assert len(caplog.messages) < 5
