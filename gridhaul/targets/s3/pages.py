"""The way through a listing that a server gives in pages."""

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from gridhaul.targets.s3.documents import is_truncated
from gridhaul.transfer.errors import TargetInconsistent


class Pages:
    """The way through a listing in pages, which ends: no page is asked for twice.

    A way that begins at the `marker` of an earlier one knows of no page before that marker.
    """

    def __init__(self, marker: Mapping[str, str] | None = None) -> None:
        self.marker: dict[str, str] | None = dict(marker or {})  # of the next page; None: there is none
        self._seen = {tuple(self.marker.values())}

    def follow(self, page: Element, marker: dict[str, str]) -> None:
        """Go on after the page. Raises TargetInconsistent if it does not tell where the next page begins."""
        if not is_truncated(page):
            self.marker = None
            return
        place = tuple(marker.values())
        if not any(place) or place in self._seen:
            raise TargetInconsistent("The target's listing does not tell where its next page begins.")
        self._seen.add(place)
        self.marker = marker
