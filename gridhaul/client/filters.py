"""Filters of lists of files and deliveries."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ListFilters:
    """Filters that say what narrows a list. The api refuses those that it cannot combine (`not_combinable`)."""

    batch: str | None = None  # the id of the batch whose members are listed
    target: str | None = None
    name_prefix: str | None = None  # of a file's name, or of the name of a delivery's object
    owner: str | None = None  # an admin names any account; None: an admin lists all accounts
    order: str | None = None  # `newest` or `name`; None: by name with `name_prefix`, else the newest first

    @property
    def params(self) -> dict[str, str]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def by_name(self) -> bool:
        return self.order == "name" or (self.order is None and self.name_prefix is not None)


NO_FILTERS = ListFilters()
