"""`targets.toml`: which configurations are taken, which are refused, and how the refusals are worded."""

import os
from pathlib import Path

import pytest

from gridhaul.process.settings import SettingsError
from gridhaul.targets.directory import DirectoryTarget
from gridhaul.targets.http import HttpTarget
from gridhaul.targets.targets_file import ConfiguredTargets, load_targets, target_definitions
from gridhaul.targets.webdav.target import WebDavTarget
from gridhaul.transfer.errors import TargetUnknown
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import Fingerprinted, Staging
from tests.targets.deliveries import written

EVERYTHING = """
[targets.here]
kind = "directory"
path = "/srv/delivered"

[targets.archive-2]
kind = "webdav"
url = "https://archive.example/dav/"
username = "u"
password = { env = "ARCHIVE_PASSWORD" }
etag_digest = "sha-256"

[targets.drop_box]
kind = "http"
url = "http://drop.example:8080"
token = { env = "DROP_TOKEN" }
"""
EVERY_KIND = f"""{EVERYTHING}
[targets.bucket]
kind = "s3"
endpoint = "https://s3.example/"
bucket = "results"
prefix = "lab"
access_key_id = {{ env = "DROP_TOKEN" }}
secret_access_key = {{ env = "DROP_TOKEN" }}

[targets.shell]
kind = "sftp"
host = "shell.example"
username = "u"
host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJPBfnhEtC4rtbHrFBhxdhvcw9fKXKbBjfzmSxuYMwhr"
password = {{ env = "DROP_TOKEN" }}
path = "/srv"
"""
WEB = '[targets.a]\nkind = "webdav"\nurl = "https://h/"\n'


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHIVE_PASSWORD", "s3cret")
    monkeypatch.setenv("DROP_TOKEN", "t0ken")
    monkeypatch.setenv("BROKEN", "two\nlines")
    monkeypatch.setenv("EMPTY", "")


def load(directory: Path, text: str) -> ConfiguredTargets:
    path = directory / "targets.toml"
    path.write_text(text)
    return load_targets(path)


async def test_every_kind_is_made_when_asked_for(tmp_path: Path) -> None:
    targets = load(tmp_path, EVERYTHING)
    assert isinstance(targets.get("here"), DirectoryTarget)
    assert isinstance(targets.get("archive-2"), WebDavTarget)
    assert isinstance(targets.get("drop_box"), HttpTarget)
    assert targets.get("here") is targets.get("here")
    assert targets.get("archive-2").location("a b") == "https://archive.example/dav/a%20b"
    await targets.close()
    await targets.close()


@pytest.mark.parametrize(("line", "kept"), [("", 0o644), ("keep_mode = false\n", 0o644), ("keep_mode = true\n", 0o604)])
async def test_directory_keeps_modes_only_if_its_section_says_so(tmp_path: Path, line: str, kept: int) -> None:
    target = load(tmp_path, f'[targets.here]\nkind = "directory"\npath = "{tmp_path}"\n{line}').get("here")
    assert isinstance(target, DirectoryTarget)
    source = Attributes(mtime_ns=0, mode=0o604)
    before = os.umask(0o022)
    try:
        await written(target, "run.bin", b"data", name="run.bin", attributes=source)
    finally:
        os.umask(before)
    assert await target.attributes("run.bin") == Attributes(mtime_ns=0, mode=kept)


async def test_unknown_target_names_no_other(tmp_path: Path) -> None:
    for text in (EVERYTHING, ""):
        with pytest.raises(TargetUnknown, match=r"^No target of this name is configured\.$"):
            load(tmp_path, text).get("https://elsewhere.example/")


async def test_definitions_need_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARCHIVE_PASSWORD")
    (tmp_path / "targets.toml").write_text(EVERYTHING)
    found = target_definitions(tmp_path / "targets.toml")
    assert [(one.name, one.kind, one.allow_overwrite_race) for one in found] == [
        ("archive-2", "webdav", False),
        ("drop_box", "http", None),
        ("here", "directory", False),
    ]
    with pytest.raises(SettingsError, match=r"targets.toml: target 'archive-2': password: .*ARCHIVE_PASSWORD"):
        load_targets(tmp_path / "targets.toml")


async def test_definition_and_target_have_one_fingerprint(tmp_path: Path) -> None:
    targets = load(tmp_path, EVERY_KIND)
    for definition in target_definitions(tmp_path / "targets.toml"):
        target = targets.get(definition.name)
        assert isinstance(target, Fingerprinted)
        assert target.fingerprint == definition.fingerprint
    await targets.close()


async def test_setting_that_accepts_a_race_reaches_the_target(tmp_path: Path) -> None:
    sections = EVERY_KIND.strip().split("\n\n")
    staged = (f"{one}\nallow_overwrite_race = true" for one in sections if 'kind = "http"' not in one)
    targets = load(tmp_path, "\n\n".join(staged))
    for definition in target_definitions(tmp_path / "targets.toml"):
        target = targets.get(definition.name)
        assert definition.allow_overwrite_race
        assert isinstance(target, Staging)
        assert target.allow_overwrite_race
    await targets.close()


@pytest.mark.parametrize("read", [load_targets, target_definitions])
def test_missing_file_is_named(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(SettingsError, match=r"nowhere/targets\.toml: No such file"):
        read(tmp_path / "nowhere/targets.toml")


async def test_credentials_do_not_show(tmp_path: Path) -> None:
    targets = load(tmp_path, EVERYTHING)
    made = [targets.get(one.name) for one in target_definitions(tmp_path / "targets.toml")]
    seen = [repr(targets), str(vars(targets)), *(repr(vars(target)) for target in made)]
    seen += [repr(target._session) for target in made if hasattr(target, "_session")]
    for text in seen:
        assert "s3cret" not in text
        assert "t0ken" not in text
    await targets.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("targets = [", "is not TOML"),
        ("[target.a]", "unknown key 'target'"),
        ("targets = 1", "sections"),
        ("[targets]\na = 1", "target 'a': must be a section"),
        ('[targets.A]\nkind = "http"', "target 'A': a name is"),
        (f'[targets.{"a" * 65}]\nkind = "http"', "a name is"),
        ('[targets."a b"]\nkind = "http"', "a name is"),
        (
            '[targets.a]\nkind = "http"\nurl = "http://h/"\nallow_overwrite_race = true',
            "allow_overwrite_race: unknown key",
        ),
        (f"{WEB}allow_overwrite_race = 1", "allow_overwrite_race"),
        ("[targets.a]", "target 'a': kind: must be one of directory, http, s3, sftp, webdav"),
        ('[targets.a]\nkind = "ftp"', "target 'a': kind: must be"),
        ("[targets.a]\nkind = []", "target 'a': kind: must be"),
        ('[targets.a]\nkind = "directory"', "target 'a': path: is missing"),
        ('[targets.a]\nkind = "directory"\npath = "delivered"', "path: must be an absolute path"),
        ('[targets.a]\nkind = "directory"\npath = "/x"\nurl = "http://h"', "target 'a': url: unknown key"),
        ('[targets.a]\nkind = "webdav"', "url: is missing"),
        ('[targets.a]\nkind = "http"\nurl = "ftp://h/"', "url: must start with http"),
        ('[targets.a]\nkind = "http"\nurl = "/path"', "url: must start with http"),
        ('[targets.a]\nkind = "http"\nurl = "http://"', "url: must start with http"),
        ('[targets.a]\nkind = "http"\nurl = "http://[::1"', "url: is not a URL"),
        ('[targets.a]\nkind = "http"\nurl = "http://u:s3cret@h/"', "url: must hold no credentials"),
        ('[targets.a]\nkind = "http"\nurl = "http://h/?a=b"', "url: must have no"),
        ('[targets.a]\nkind = "http"\nurl = "http://h/#"', "url: must have no"),
        ('[targets.a]\nkind = "http"\nurl = "http://h"\netag_digest = "sha-256"', "etag_digest: unknown key"),
        (f'{WEB}etag_digest = "md5"', "etag_digest: Input should be 'sha-256'"),
        (f'{WEB}username = "u"', "target 'a': username and password belong together"),
        (f'{WEB}password = {{ env = "DROP_TOKEN" }}', "username and password belong together"),
        (f'{WEB}username = "u:v"\npassword = {{ env = "DROP_TOKEN" }}', "username: "),
        (f'{WEB}username = "u"\npassword = "s3cret"', "password: must be { env"),
        (f'{WEB}username = "u"\npassword = {{ env = "A", file = "s3cret" }}', "password: must be { env"),
        (f"{WEB}token = {{ env = 1 }}", "token: must be { env"),
        (f'{WEB}token = {{ value = "s3cret" }}', "token: must be { env"),
        (f'{WEB}token = {{ env = "NOT_SET_AT_ALL" }}', "token: the environment has no NOT_SET_AT_ALL"),
        (f'{WEB}token = {{ file = "/no/such" }}', "token: cannot read /no/such"),
        (f'{WEB}token = {{ env = "BROKEN" }}', "token: is empty, or holds"),
        (f'{WEB}token = {{ env = "EMPTY" }}', "token: is empty, or holds"),
        (
            f'{WEB}token = {{ env = "DROP_TOKEN" }}\nusername = "u"\npassword = {{ env = "DROP_TOKEN" }}',
            "token and password exclude each other",
        ),
    ],
)
def test_wrong_configuration_is_refused_and_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    shown = str(caught.value)
    assert message in shown
    assert str(tmp_path / "targets.toml") in shown
    for secret in ("s3cret", "t0ken", "two\nlines"):
        assert secret not in shown


def test_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "targets.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="UTF-8"):
        load_targets(path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"token: the file .* is not text"):
        load(tmp_path, f'{WEB}token = {{ file = "{tmp_path / "binary"}" }}')
