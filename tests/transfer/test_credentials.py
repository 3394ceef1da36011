"""Credentials are parsed from their text, and do not show their secret."""

import pytest

from gridhaul.transfer.credentials import Credential, CredentialKind


@pytest.mark.parametrize("kind", CredentialKind)
def test_text_is_parsed_back_and_the_secret_is_not_in_the_repr(kind: CredentialKind) -> None:
    credential = Credential.new(kind)
    assert Credential.parse(credential.text, kind) == credential
    assert credential.secret not in repr(credential)
