import hashlib

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from gridhaul.transfer.digest import (
    DIGEST_BYTES,
    ContentDigest,
    ManifestRoot,
    chunk_digest,
    fingerprint,
    manifest_root,
    same_secret,
)

parts = st.lists(st.text(max_size=4), max_size=4)


def test_chunk_digest_is_blake3_of_32_bytes() -> None:
    assert chunk_digest(b"") == bytes.fromhex("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")
    assert len(chunk_digest(b"x")) == DIGEST_BYTES


def test_manifest_root_is_the_same_however_the_digests_are_paged() -> None:
    digests = [chunk_digest(bytes([n])) for n in range(5)]
    running = ManifestRoot()
    for digest in digests:
        running.update(digest)
    expected = blake3(b"".join(digests)).hexdigest()
    assert {manifest_root(digests), manifest_root([b"".join(digests)]), running.hexdigest()} == {expected}


def test_manifest_root_depends_on_the_order() -> None:
    one, two = chunk_digest(b"1"), chunk_digest(b"2")
    assert manifest_root([one, two]) != manifest_root([two, one])


def test_content_digest_is_sha256_and_length_of_all_parts() -> None:
    total = ContentDigest()
    for part in (b"ab", b"", b"c"):
        total.update(part)
    assert (total.length_bytes, total.hexdigest()) == (3, hashlib.sha256(b"abc").hexdigest())


@given(parts, parts)
def test_two_lists_of_parts_share_no_fingerprint(one: list[str], two: list[str]) -> None:
    assert (fingerprint(*one) == fingerprint(*two)) == (one == two)


def test_fingerprint_takes_text_that_is_not_unicode() -> None:
    assert len(fingerprint("\udc80")) == 64


def test_secrets_are_the_same_only_in_full() -> None:
    assert same_secret("säcret", "säcret")
    assert not same_secret("säcre", "säcret")
    assert not same_secret("", "säcret")
