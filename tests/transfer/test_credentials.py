"""Credentials are parsed from their text, and do not show their secret."""

from dataclasses import replace

import pytest

from gridhaul.transfer.credentials import Credential, CredentialKind


@pytest.mark.parametrize("kind", CredentialKind)
def test_text_is_parsed_back_and_the_secret_is_not_in_the_repr(kind: CredentialKind) -> None:
    credential = Credential.new(kind)
    assert Credential.parse(credential.text, kind) == credential
    assert credential.secret not in repr(credential)


def test_successor_is_always_the_same_and_another_for_each_token_and_service_secret() -> None:
    first, other = (Credential.new(CredentialKind.REFRESH_TOKEN) for _ in range(2))
    following = first.successor("a secret")
    assert following == first.successor("a secret")
    assert (following.id, following.kind) == (first.id, first.kind)
    assert Credential.parse(following.text, following.kind) == following
    of_other_session = replace(first, id=other.id).successor("a secret")
    others = {first, first.successor("b secret"), replace(other, id=first.id).successor("a secret"), of_other_session}
    assert following.secret not in {one.secret for one in others}
