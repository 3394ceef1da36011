"""The names of the objects that a probe writes."""

ODD = "a+b %25 é"
MANGLED = ("a b %25 é", "a+b % é", "a+b+%25+é")  # the odd name, as servers read it that decode it in a wrong way


class Scratch:
    """The names of one probe; all of them begin with `beginning`."""

    def __init__(self, beginning: str) -> None:
        self.beginning = beginning
        self.delivered, self.refused = f"{beginning}delivered", f"{beginning}refused"
        self.odd, self.mangled = f"{beginning}{ODD}", [f"{beginning}{name}" for name in MANGLED]
        # Pairs of an object and another one below it. Nothing else is written under these names: SeaweedFS keeps an
        # emptied folder for a while, and completes no upload under its name.
        self.below, self.under = f"{beginning}above/below", f"{beginning}above"
        self.last, self.over = f"{beginning}over/below", f"{beginning}over"

    @property
    def objects(self) -> tuple[str, ...]:
        """Return every name that the server may hold an object under."""
        return (self.delivered, self.odd, *self.mangled, self.below, self.under, self.last, self.over)
