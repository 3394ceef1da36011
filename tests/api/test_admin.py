"""`python -m api.admin`, which makes the first account and prints a key for it."""

from asyncio import to_thread
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient
from typer.testing import CliRunner

from api.admin import app
from gridhaul.identity.passwords import Passwords
from gridhaul.storage.accounts import dumps
from gridhaul.transfer.credentials import Credential, CredentialKind

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def settings(mongo_url: str) -> dict[str, str]:
    return {"GRIDHAUL_MONGO_URL": mongo_url, "GRIDHAUL_DATABASE": f"test-{uuid4().hex}"}


def test_account_is_made_once_and_each_run_gives_another_key(settings: dict[str, str]) -> None:
    runs = [CliRunner().invoke(app, ["operator"], env=settings) for _ in range(2)]
    assert [run.exit_code for run in runs] == [0, 0]
    assert runs[0].stdout.startswith("ghk_")
    assert runs[0].stdout != runs[1].stdout


def test_account_that_gets_more_scopes_is_named_on_stderr(settings: dict[str, str], mongo_url: str) -> None:
    CliRunner().invoke(app, ["alice"], env=settings)
    client: MongoClient[Any] = MongoClient(mongo_url)
    with client:
        client[settings["GRIDHAUL_DATABASE"]]["auth"].update_one({}, {"$set": {"scopes": ["read"], "disabled": True}})
        run = CliRunner().invoke(app, ["alice"], env=settings)
        account = client[settings["GRIDHAUL_DATABASE"]]["auth"].find_one()
    assert "alice has all scopes now; before: read." in run.stderr
    assert account is not None
    assert (len(account["scopes"]), account["disabled"], len(account["keys"])) == (5, False, 2)


def test_key_of_a_file_takes_the_place_of_the_one_that_it_held_before(
    settings: dict[str, str], tmp_path: Path, mongo_url: str
) -> None:
    held = tmp_path / "key"
    keys = [Credential.new(CredentialKind.API_KEY) for _ in range(2)]
    for key in (keys[0], keys[0], keys[1]):
        held.write_text(key.text)
        run = CliRunner().invoke(app, ["operator", "--key-file", str(held)], env=settings)
        assert (run.exit_code, run.stdout) == (0, "")
    client: MongoClient[Any] = MongoClient(mongo_url)
    with client:
        (account,) = client[settings["GRIDHAUL_DATABASE"]]["auth"].find()
    assert [str(key["id"]) for key in account["keys"]] == [keys[1].id]


async def test_password_of_a_file_is_given_to_an_account_without_one_and_never_replaces_one(
    settings: dict[str, str], tmp_path: Path, mongo_url: str
) -> None:
    held, passwords = tmp_path / "password", ("first horse battery", "second horse battery")
    hashes = []
    client: MongoClient[Any] = MongoClient(mongo_url)
    with client:
        collection = client[settings["GRIDHAUL_DATABASE"]]["auth"]
        for password in passwords:
            held.write_text(password + "\n")
            run = await to_thread(CliRunner().invoke, app, ["operator", "--password-file", str(held)], env=settings)
            assert run.exit_code == 0
            (account,) = collection.find()
            hashes.append(account["password_hash"])
        assert hashes[0] == hashes[1]
        assert [await Passwords().match(password, hashes[0]) for password in passwords] == [True, False]
        collection.update_one({}, {"$set": {"password_hash": None}})
        run = await to_thread(CliRunner().invoke, app, ["operator", "--password-file", str(held)], env=settings)
        (account,) = collection.find()
    assert await Passwords().match(passwords[1], account["password_hash"])
    assert len(account["keys"]) == 3


def test_password_that_is_too_short_is_refused_and_no_account_is_made(
    settings: dict[str, str], tmp_path: Path, mongo_url: str
) -> None:
    (tmp_path / "password").write_text("short")
    run = CliRunner().invoke(app, ["operator", "--password-file", str(tmp_path / "password")], env=settings)
    assert run.exit_code == 1
    assert "12 to 256 characters" in run.stderr
    client: MongoClient[Any] = MongoClient(mongo_url)
    with client:
        assert client[settings["GRIDHAUL_DATABASE"]]["auth"].find_one() is None


@pytest.mark.parametrize("name", ["Operator", "a b", "x" * 65, "../x", ""])
def test_name_that_the_api_does_not_take_is_refused(settings: dict[str, str], name: str) -> None:
    run = CliRunner().invoke(app, [name], env=settings)
    assert run.exit_code == 1
    assert "The account could not be made" in run.stderr


def test_account_whose_password_is_public_is_never_an_admin(settings: dict[str, str]) -> None:
    assert CliRunner().invoke(dumps.app, ["restore", str(PROJECT / "dumps")], env=settings).exit_code == 0
    run = CliRunner().invoke(app, [dumps.DEMO_USERNAME], env=settings)
    assert (run.exit_code, run.stdout) == (1, "")
    assert "the demo account" in run.stderr
