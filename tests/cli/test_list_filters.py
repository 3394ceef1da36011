"""The options of `gridhaul ls` that narrow its lists."""

from dataclasses import replace

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted_api import FILE_ID, ScriptedApi, delivery, file, problem
from tests.cli.test_listing import KEPT, NOT_DONE, deliveries, files

OWN = {"username": "alice"}
BATCH = "b" * 24


def test_target_lists_what_goes_there_of_the_own_account(api: ScriptedApi, run: Run) -> None:
    narrowed = "target=archive&owner=alice&limit=50"
    api.script("GET /account", OWN)
    api.script(f"GET /files?{KEPT}&{narrowed}", files(file("STORING")))
    api.script(f"GET /deliveries?{NOT_DONE}&{narrowed}", deliveries(delivery("QUEUED")))
    assert [line.split("\t")[3] for line in run("ls", "--target", "archive").stdout.splitlines() if line] == [
        "STATE",
        "STORING",
        "STATE",
        "QUEUED",
    ]


def test_prefix_and_state_of_another_account_need_no_look_at_the_own(api: ScriptedApi, run: Run) -> None:
    narrowed = "state=FAILED&name_prefix=run+4&owner=bob&limit=50"
    api.script(f"GET /files?{narrowed}", files())
    api.script(f"GET /deliveries?{narrowed}", deliveries(delivery("FAILED")))
    assert run("ls", "--failed", "--prefix", "run 4", "--owner", "bob").exit_code == 0
    assert len(api.heard) == 2


def test_order_by_name_keeps_the_order_of_the_api(api: ScriptedApi, run: Run) -> None:
    api.script("GET /account", OWN)
    old, new = delivery("QUEUED", created_at="2026-11-21T03:00:01Z"), delivery("FAILED")
    api.script("GET /deliveries?owner=alice&order=name&limit=50", deliveries(old, new))
    lines = run("ls", "--deliveries", "--order", "name").stdout.splitlines()
    assert [line.split("\t")[3] for line in lines] == ["STATE", "QUEUED", "FAILED"]


def test_members_of_a_batch_are_listed(api: ScriptedApi, run: Run) -> None:
    api.script(f"GET /files?state=FAILED&batch={BATCH}&limit=50", files(file("FAILED")))
    api.script(f"GET /deliveries?state=FAILED&batch={BATCH}&limit=50", deliveries())
    assert FILE_ID in run("ls", "--batch", BATCH.upper(), "--failed").stdout


def test_members_of_a_batch_by_name_are_files_alone(api: ScriptedApi, run: Run) -> None:
    api.script(f"GET /files?batch={BATCH}&order=name&limit=50", files(file("STORED")))
    assert FILE_ID in run("ls", "--batch", BATCH, "--order", "name").stdout
    assert len(api.heard) == 1


def test_owner_alone_lists_what_the_account_has_with_lost_deliveries(api: ScriptedApi, run: Run) -> None:
    api.script(f"GET /files?{KEPT}&owner=bob&limit=50", files())
    api.script(f"GET /deliveries?{NOT_DONE}&owner=bob&limit=50", deliveries())
    api.script("GET /deliveries?lost=true&owner=bob&limit=50", deliveries())
    assert run("ls", "--owner", "bob").exit_code == 0


@pytest.mark.parametrize(
    "args",
    [
        ("--batch", BATCH, "--target", "t"),
        ("--target", "t", "--prefix", "p"),
        ("--target", "t", "--order", "name"),
        ("--prefix", "p", "--order", "newest"),
        ("--batch", BATCH, "--owner", "bob"),
        ("--batch", BATCH, "--order", "name", "--failed"),
        ("--batch", "beef"),
        ("--owner", "No One"),
        ("--order", "size"),
    ],
)
def test_options_that_no_list_combines_ask_nothing_of_the_api(
    api: ScriptedApi, run: Run, args: tuple[str, ...]
) -> None:
    assert run("ls", *args).exit_code == 2
    assert api.heard == []


def test_refusal_of_a_combination_is_told_in_the_words_of_the_command(api: ScriptedApi, run: Run) -> None:
    plain = problem(422, "not_combinable", "No list combines batch state.")
    assert isinstance(plain.body, dict)
    refused = replace(plain, body={**plain.body, "invalid": ["query.batch", "query.state"]})
    api.script(f"GET /files?state=FAILED&batch={BATCH}&limit=50", refused)
    assert "The api cannot list by these options together" in run("ls", "--batch", BATCH, "--failed").stderr
