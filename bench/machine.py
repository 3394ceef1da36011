"""Describes the machine that the benchmark runs on."""

import os
import platform
from pathlib import Path
from typing import TypedDict

import psutil
from pymongo import MongoClient

from bench.peers.gridfs import Document

GIB = 1 << 30
CPU_INFO = Path("/proc/cpuinfo")


class Machine(TypedDict):
    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    mongod: str
    mongod_cache_gib: float


def describe(mongo: MongoClient[Document]) -> Machine:
    cache = mongo.admin.command("serverStatus")["wiredTiger"]["cache"]
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / GIB, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "mongod": mongo.server_info()["version"],
        "mongod_cache_gib": round(cache["maximum bytes configured"] / GIB, 2),
    }


def in_words(machine: Machine) -> str:
    """Return the machine as one line of text."""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:g} GiB of memory, {machine['kernel']}, "
        f"Python {machine['python']}, mongod {machine['mongod']} with a cache of {machine['mongod_cache_gib']:g} GiB"
    )


def _cpu_model() -> str:
    models = [line.partition(":")[2].strip() for line in CPU_INFO.read_text().splitlines() if "model name" in line]
    return models[0] if models else platform.machine()
