"""Formats values for a terminal."""

from gridhaul.client.records import FailureRecord

LONGEST_ESTIMATE_SECONDS = 99 * 3600  # a longer one would say nothing
UNKNOWN = "?"
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def safe(text: str) -> str:
    """Return the text with unprintable characters escaped: a name or a detail may try to control the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 chunk` or `3 chunks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def clause(sentence: str) -> str:
    """Return a sentence without its capital and its full stop, to stand after a colon."""
    return sentence[:1].lower() + sentence[1:].removesuffix(".")


def obstacle_code(waiting: FailureRecord | None) -> str | None:
    """Return the code of the obstacle that a record waits for.

    A display compares codes, because the detail holds seconds, which grow while the record waits.
    """
    return waiting["code"] if waiting else None


def size(length_bytes: float) -> str:
    """Return a length such as `12.0 MiB`."""
    power = 0
    while length_bytes >= 1024 and power < len(UNITS) - 1:
        length_bytes /= 1024
        power += 1
    return f"{length_bytes:.{1 if power else 0}f} {UNITS[power]}"


def size_or_unknown(length_bytes: int | None) -> str:
    """Return a length such as `12.0 MiB`, or `?` if it is not known yet."""
    return UNKNOWN if length_bytes is None else size(length_bytes)


def duration(seconds: float) -> str:
    """Return a duration such as `8 s`, `2 min 05 s` or `3 h 20 min`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def progress(done_bytes: int, length_bytes: int | None, rate: float | None) -> str:
    """Return a progress such as `12.0 MiB of 64.0 MiB, 25.0 MiB/s, 2 s left`. `rate` is in bytes a second."""
    text = f"{size(done_bytes)} of {size_or_unknown(length_bytes)}"
    if length_bytes is None:
        return f"{text}, {size(rate)}/s" if rate else text
    if rate and done_bytes < length_bytes:
        text += f", {size(rate)}/s"
        seconds = (length_bytes - done_bytes) / rate
        text += f", {duration(seconds)} left" if seconds <= LONGEST_ESTIMATE_SECONDS else ""
    return text
