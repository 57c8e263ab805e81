"""Figures as they are printed and kept."""

import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Figure:
    """`value` against `limit`, in `unit`; `detail` says what was measured, `samples` each run of it.

    With `at_least`, more is better. Without a limit it is only reported.
    """

    name: str
    value: float
    limit: float | None
    unit: str
    detail: str
    samples: tuple[float, ...] = ()
    at_least: bool = False

    @property
    def reached(self) -> bool:
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        return f"{self.name:<40} {self.value:>9.3f} {self.unit:<6} {self._verdict()}\n{'':<40} {self.detail}"

    def _verdict(self) -> str:
        if self.limit is None:
            return "(reported)"
        limit = f"at {'least' if self.at_least else 'most'} {self.limit:g}"
        return f"({limit})  {'reached' if self.reached else 'NOT REACHED'}"


def ratio(
    name: str, ours: list[float], theirs: list[float], limit: float | None, detail: str, *, at_least: bool = False
) -> Figure:
    """The median of the ratios of runs that were made side by side."""
    ratios = tuple(mine / other for mine, other in zip(ours, theirs, strict=True))
    return Figure(name, median(ratios), limit, "x", detail, ratios, at_least)


def keep(figures: list[Figure], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    machine = {"machine": platform.machine(), "system": platform.platform(), "python": platform.python_version()}
    path.write_text(json.dumps({**machine, "figures": [asdict(figure) for figure in figures]}, indent=2))
    return path
