"""Numbers as HTTP fields and properties of WebDAV write them: `1*DIGIT` (RFC 9110, 8.6)."""

MOST_DIGITS = 18  # a longer number does not fit into the 64-bit integers of the database


def decimal_number(text: str) -> int | None:
    """Return the number that 1 to 18 ASCII digits name; None if the text is something else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None
