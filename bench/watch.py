"""Memory and threads of processes, from /proc."""

from pathlib import Path


def resident(pid: int, field: str = "VmRSS") -> float:
    """Megabytes of one process: `VmRSS` now, `VmHWM` at its peak (proc(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1000
    raise LookupError(field)


def forget_peak(pid: int) -> None:
    """Begins a new peak (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
