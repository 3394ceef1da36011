"""The amounts of data that the cases move."""

from dataclasses import dataclass, replace
from typing import Self

MIB = 1 << 20
GIB_IN_MIB = 1 << 10
FULL_FILE_MIB = GIB_IN_MIB
SMALL_FILE_BYTES = 64 << 10
MIDDLE_FILE_MIB = 5
FEWEST_RECORDS = 1_000  # enough to fill every page of a listing
LEAST = 8  # no amount shrinks below this, so that every case still measures something


@dataclass(frozen=True, kw_only=True)
class Scale:
    file_mib: int = FULL_FILE_MIB
    parent_file_mib: int = 256
    small_files: int = 2_000
    middle_files: int = 100
    growing_mib: tuple[int, ...] = (GIB_IN_MIB, 4 * GIB_IN_MIB, 16 * GIB_IN_MIB)
    records: tuple[int, ...] = (FEWEST_RECORDS, 100_000, 1_000_000)
    requests: int = 1_000  # timed requests of each kind
    worker_file_mib: int = 256
    tebibyte_mib: int = 20 * GIB_IN_MIB  # of a file of 1 TiB, the MiB that are sent

    @property
    def sources_mib(self) -> int:
        """Return the MiB of all source files, except the sparse ones."""
        once = self.file_mib + self.parent_file_mib + self.worker_file_mib
        return once + self.small_files * SMALL_FILE_BYTES // MIB + 1 + self.middle_files * MIDDLE_FILE_MIB

    def shrunk(self, file_mib: int) -> Self:
        """Return a scale with a file of `file_mib` MiB; all other amounts shrink in proportion."""

        def share(amount: int) -> int:
            return max(LEAST, amount * file_mib // self.file_mib)

        return replace(
            self,
            file_mib=file_mib,
            parent_file_mib=share(self.parent_file_mib),
            small_files=share(self.small_files),
            middle_files=share(self.middle_files),
            growing_mib=tuple(share(mib) for mib in self.growing_mib),
            records=tuple(sorted({max(share(count), FEWEST_RECORDS) for count in self.records})),
            requests=share(self.requests),
            worker_file_mib=share(self.worker_file_mib),
            tebibyte_mib=share(self.tebibyte_mib),
        )

    def up_to(self, largest_gib: int) -> Self:
        """Return a scale whose largest growing file has `largest_gib` GiB, and that sends no more of a larger one."""
        largest_mib = largest_gib * GIB_IN_MIB
        smaller = tuple(mib for mib in self.growing_mib if mib < largest_mib)
        return replace(self, growing_mib=(*smaller, largest_mib), tebibyte_mib=min(self.tebibyte_mib, largest_mib))


FULL = Scale()


def named(mib: int) -> str:
    """Return a size such as `1 GiB` or `256 MiB`."""
    return f"{mib // GIB_IN_MIB} GiB" if mib % GIB_IN_MIB == 0 else f"{mib} MiB"
