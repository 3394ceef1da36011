"""Times of files that lie far from today, in nanoseconds since 1970."""

YEAR_2400 = 13_569_465_600 * 10**9  # more than a signed integer of 64 bits can hold
YEAR_1969 = -86_400 * 10**9
YEAR_1600 = -11_676_096_000 * 10**9  # less than a signed integer of 64 bits can hold
