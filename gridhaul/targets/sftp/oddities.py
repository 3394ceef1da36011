"""Names that some SFTP servers do not keep, because of the systems beneath them: Windows, object stores, encryption."""

from functools import partial

from gridhaul.targets.oddities import ODDITIES, Oddity

ENCRYPTED_MOST_BYTES = 143  # of a name in a folder that eCryptfs encrypts
LONG_EXAMPLE_BYTES = 200


def _is_long(part: str) -> bool:
    return len(part.encode()) > ENCRYPTED_MOST_BYTES


def _holds(character: str, part: str) -> bool:
    return character in part


SFTP_ODDITIES = (
    *ODDITIES,
    *(
        Oddity(
            label=f"the character {character!r}",
            example=f"x{character}x",
            mangled="x",
            is_in=partial(_holds, character),
        )
        for character in "'\":*|<>"
    ),
    Oddity(
        label=f"more than {ENCRYPTED_MOST_BYTES} bytes",
        example="x" * LONG_EXAMPLE_BYTES,
        mangled=None,
        is_in=_is_long,
    ),
)


def sftp_oddity_in(name: str, lost: frozenset[str]) -> Oddity | None:
    """Return an oddity of the name whose label is in `lost`; None if the name has none of them."""
    parts = name.split("/")
    found = (oddity for oddity in SFTP_ODDITIES if oddity.label in lost and any(map(oddity.is_in, parts)))
    return next(found, None)
