"""The plan of the embedded system: its programs, their ports, and their command lines."""

import socket
from pathlib import Path

import pytest

from gridhaul.embedded import network, plan
from gridhaul.embedded.configuration import Configuration
from gridhaul.embedded.data_directory import DataDirectory
from gridhaul.embedded.errors import PortTaken, UsageProblem
from gridhaul.embedded.programs import Program, Stage

FOUND = {"mongod": Path("/bin/mongod"), "redis-server": Path("/bin/redis-server")}


def planned(configuration: Configuration, directory: DataDirectory) -> dict[str, Program]:
    addresses = plan.choose_addresses(configuration, directory)
    found = FOUND if configuration.mongo_url is None else {}
    programs = plan.list_programs(configuration, directory, addresses=addresses, found=found)
    return {program.name: program for program in programs}


def test_programs_of_the_system(directory: DataDirectory) -> None:
    remote = Program(name="remote", command=("/bin/rclone",))
    names = planned(Configuration(data=directory.path, extra_programs=(remote,)), directory)
    assert names.keys() == {
        "mongod",
        "redis",
        "chunk_service",
        "worker_small",
        "worker_large",
        "api",
        "remote",
    }


def test_stop_order_leaves_the_database_to_the_end(directory: DataDirectory) -> None:
    programs = planned(Configuration(data=directory.path), directory)
    order = sorted(programs.values(), key=lambda program: -program.stage)
    assert [program.name for program in order] == [
        "api",
        "worker_small",
        "worker_large",
        "chunk_service",
        "redis",
        "mongod",
    ]
    assert Stage.BROKER < Stage.PEER < Stage.CHUNK_SERVICE


def test_no_secret_is_on_a_command_line_or_in_an_environment(directory: DataDirectory) -> None:
    programs = planned(Configuration(data=directory.path), directory)
    visible = repr([program.launch_entry(directory) for program in programs.values()])
    for name in ("mongo_password", "redis_password", "service_secret"):
        assert directory.secret(name) not in visible
    assert directory.operator_key() not in visible
    assert directory.operator_password() not in visible


def test_secrets_are_on_disk_before_anything_starts(directory: DataDirectory) -> None:
    addresses = plan.choose_addresses(Configuration(data=directory.path), directory)
    assert directory.secret_file("mongo_password").read_text() in addresses.mongo_url
    assert directory.secret_file("mongo_url").read_text() == addresses.mongo_url


def test_servers_from_outside_are_used_and_ours_not_started(directory: DataDirectory) -> None:
    configuration = Configuration(data=directory.path, mongo_url="mongodb://there", redis_url="redis://there")
    assert plan.needed_binaries(configuration) == []
    assert planned(configuration, directory).keys().isdisjoint({"mongod", "redis"})
    assert directory.secret_file("redis_url").read_text() == "redis://there"


def test_free_ports_differ() -> None:
    assert len(set(network.free_ports(20))) == 20


def test_free_ports_are_none_that_connections_get() -> None:
    lowest, highest = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not [port for port in network.free_ports(200) if lowest <= port <= highest]


@pytest.fixture
def handed_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a stand-in for the kernel's file with the range of ports that outgoing connections get."""
    monkeypatch.setattr(network, "HANDED_OUT", tmp_path / "range")
    return tmp_path / "range"


def test_ports_are_found_where_the_system_hands_out_all(handed_out: Path) -> None:
    handed_out.write_text("1024\t65535\n")
    assert len(network.free_ports(20)) == 20


def test_too_few_free_ports_are_an_error(handed_out: Path) -> None:
    handed_out.write_text("10000\t65530\n")
    with pytest.raises(OSError, match="fewer than 6"):
        network.free_ports(6)


def test_port_that_is_taken_is_an_error(directory: DataDirectory) -> None:
    with socket.create_server((network.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"Port {port} cannot be used: Address already in use"):
            plan.choose_addresses(Configuration(data=directory.path, port=port), directory)


def test_preferred_port_that_is_taken_is_replaced(directory: DataDirectory) -> None:
    with socket.create_server((network.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        configuration = Configuration(data=directory.path, preferred_port=port)
        assert plan.choose_addresses(configuration, directory).api_port != port
    assert plan.choose_addresses(configuration, directory).api_port == port


def test_root_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "absent"):
        with pytest.raises(UsageProblem, match="is not a directory"):
            Configuration(data=tmp_path, roots=(root,)).check_roots()


def test_root_with_the_separator_in_its_path_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "a:b"
    root.mkdir()
    with pytest.raises(UsageProblem, match="separates roots"):
        Configuration(data=tmp_path, roots=(root,)).check_roots()
