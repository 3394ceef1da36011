"""Finds free ports on loopback."""

import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom

HOST = "127.0.0.1"
HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")
HANDED_OUT_BY_DEFAULT = "32768 60999"
REGISTERED = range(10_000, 1 << 16)


def free_ports(count: int) -> list[int]:
    """Return different ports that nothing listens on, and that stay free while a server restarts.

    The ephemeral ports are left out, if possible: the kernel could give one to an outgoing connection while the server
    is down. Raises OSError if fewer than `count` ports are free.
    """
    candidates = _candidates()
    found: list[int] = []
    with ExitStack() as stack:
        for port in SystemRandom().sample(candidates, len(candidates)):
            probe = stack.enter_context(socket.socket())
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"fewer than {count} ports are free")


def _candidates() -> Sequence[int]:
    try:
        handed_out = HANDED_OUT.read_text()
    except OSError:
        handed_out = HANDED_OUT_BY_DEFAULT
    lowest, highest = map(int, handed_out.split())
    return [port for port in REGISTERED if not lowest <= port <= highest] or REGISTERED


def why_not(port: int) -> str | None:
    """Return None if a server can listen on the port, else the reason why not."""
    with socket.socket() as probe:
        # Servers set this option, too: with it, a port whose old connections are in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error.strerror or str(error)
    return None
