"""What the kernel says of one process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
INODE_COLUMNS = {"tcp": 9, "tcp6": 9, "unix": 6}
"""Of the kernel's tables of stream sockets, proc(5)."""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Footprint:
    at: float
    """Seconds since the load began."""
    memory_kb: int
    """Resident set."""
    descriptors: int
    """Without connections."""
    connections: int
    """TCP and Unix sockets: a pool of them grows with its use, and keeps what it has."""
    cpu_seconds: float


def footprint(pid: int, at: float) -> Footprint:
    """Raises FileNotFoundError when the process is gone."""
    process = Path(f"/proc/{pid}")
    fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
    targets = [target for link in (process / "fd").iterdir() if (target := _target(link))]
    connected = {
        f"socket:[{line.split()[column]}]"
        for table, column in INODE_COLUMNS.items()
        for line in (process / "net" / table).read_text().splitlines()[1:]
    }
    connections = sum(target in connected for target in targets)
    return Footprint(
        at=at,
        memory_kb=int((process / "statm").read_text().split()[1]) * PAGE // 1024,
        descriptors=len(targets) - connections,
        connections=connections,
        cpu_seconds=(int(fields[11]) + int(fields[12])) / TICKS,
    )


def waited_for_cpu(pid: int) -> float:
    """Seconds that its main thread was ready to run and did not: the machine had other work."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def _target(link: Path) -> str:
    """'' of a descriptor that was closed a moment ago."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""
