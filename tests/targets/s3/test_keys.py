"""Names that servers merge or lose are refused, and sections of `targets.toml` say what is wrong with them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from gridhaul.outgoing.http_client import make_client
from gridhaul.process.settings import SettingsError
from gridhaul.targets.s3.keys import is_plain, key_of
from gridhaul.targets.s3.section import S3Section
from gridhaul.targets.s3.target import S3Target
from gridhaul.targets.targets_file import load_targets
from gridhaul.transfer.errors import TargetRefused


@pytest.mark.parametrize("name", ["a/b c+%20é.bin", "e\u0301", "é", "😀'\"", "x" * 1018, "...", "a..b"])
def test_name_is_kept_as_it_is(name: str) -> None:
    assert key_of("in/s/", name) == f"in/s/{name}"


@pytest.mark.parametrize(
    "name", ["", "..", "a/../b", ".", "a//b", "/a", "a/", "a\\b", "a\nb", "a\x00", "a\x7f", "x" * 1020, "é" * 510]
)
def test_name_that_servers_merge_or_lose_is_refused(name: str) -> None:
    with pytest.raises(TargetRefused):
        key_of("in/s/", name)


@pytest.mark.parametrize(
    ("name", "plain"), [("aZ9/._~-", True), ("a b", False), ("é", False), ("a+", False), ("%", False)]
)
def test_plain_names(name: str, plain: bool) -> None:
    assert is_plain(name) == plain


def section_with(tmp_path: Path, more: str = "") -> Path:
    (tmp_path / "id").write_text("key id".replace(" ", "-"))
    (tmp_path / "secret").write_text("s3cret")
    file = tmp_path / "targets.toml"
    file.write_text(
        f'[targets.far]\nkind = "s3"\nendpoint = "https://s3.example.org:9000/"\nbucket = "objects"\n'
        f'access_key_id = {{ file = "{tmp_path}/id" }}\nsecret_access_key = {{ file = "{tmp_path}/secret" }}\n{more}'
    )
    return file


async def made(file: Path) -> S3Target:
    targets = load_targets(file)
    target = targets.get("far")
    assert isinstance(target, S3Target)
    await targets.close()
    return target


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ("", "https://s3.example.org:9000/objects/a%20b"),
        ('prefix = "in/side"', "https://s3.example.org:9000/objects/in/side/a%20b"),
        ('prefix = "in/side/"', "https://s3.example.org:9000/objects/in/side/a%20b"),
        ('addressing = "virtual"', "https://objects.s3.example.org:9000/a%20b"),
        ('addressing = "virtual"\nprefix = "x"', "https://objects.s3.example.org:9000/x/a%20b"),
    ],
)
async def test_address_of_an_object(tmp_path: Path, more: str, place: str) -> None:
    assert (await made(section_with(tmp_path, more))).location("a b") == place


async def test_every_setting_is_taken(tmp_path: Path) -> None:
    more = 'region = "eu-west-3"\nsse = "aws:kms"\nkms_key_id = "arn:aws:kms:x"\nstorage_class = "STANDARD_IA"\n'
    more += f'session_token = {{ file = "{tmp_path}/id" }}\nallow_overwrite_race = true\n'
    target = await made(section_with(tmp_path, more))
    assert target.allow_overwrite_race
    assert target._bucket._create_headers == {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:x",
        "x-amz-storage-class": "STANDARD_IA",
    }


async def test_fingerprint_tells_settings_apart_and_holds_no_secret(tmp_path: Path) -> None:
    first = (await made(section_with(tmp_path))).fingerprint
    assert (await made(section_with(tmp_path, 'region = "eu-west-3"'))).fingerprint != first
    assert (await made(section_with(tmp_path, 'prefix = "a"'))).fingerprint != first
    assert (await made(section_with(tmp_path, 'sse = "AES256"'))).fingerprint != first
    assert "s3cret" not in first


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('prefix = "../x"', "prefix: must be names of folders"),
        ('prefix = "/x"', "prefix: must be names of folders"),
        ('prefix = "a//b"', "prefix: must be names of folders"),
        ('addressing = "guess"', "addressing"),
        ('kms_key_id = "x"', "kms_key_id needs sse"),
        ('kms_key_id = "x"\nsse = "AES256"', "kms_key_id needs sse"),
        ('region = "eu west"', "region"),
        ('storage_class = "a\\nb"', "storage_class"),
        ('profile = "me"', "profile: unknown key"),
        ('allow_overwrite_race = "yes"', "allow_overwrite_race"),
        ('session_token = "s3cret-text"', "session_token: must be { env"),
    ],
)
def test_wrong_setting_is_named(tmp_path: Path, more: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words.replace("{", "\\{")) as caught:
        load_targets(section_with(tmp_path, more))
    assert "s3cret-text" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]:9000"])
def test_address_that_takes_no_bucket_before_it_is_named(tmp_path: Path, host: str) -> None:
    file = section_with(tmp_path, 'addressing = "virtual"')
    file.write_text(file.read_text().replace("s3.example.org:9000", host))
    with pytest.raises(SettingsError, match="needs an endpoint with a host name"):
        load_targets(file)


@pytest.mark.parametrize("bucket", ["", "a", "-ab", "a/b", "x" * 64])
def test_wrong_bucket_is_refused(bucket: str) -> None:
    source = {"env": "X"}
    with pytest.raises(ValidationError, match="bucket"):
        S3Section.model_validate(
            {
                "kind": "s3",
                "endpoint": "http://x",
                "bucket": bucket,
                "access_key_id": source,
                "secret_access_key": source,
            }
        )


@pytest.mark.parametrize("value", ["", "two words", "schlüssel"])
def test_credential_that_cannot_be_sent_is_named(tmp_path: Path, value: str) -> None:
    file = section_with(tmp_path)
    (tmp_path / "id").write_text(value)
    with pytest.raises(SettingsError, match="access_key_id"):
        load_targets(file)


def test_credentials_of_the_environment_are_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-the-environment")
    file = section_with(tmp_path)
    (tmp_path / "id").unlink()
    with pytest.raises(SettingsError, match="access_key_id"):
        load_targets(file, new_client=make_client)
