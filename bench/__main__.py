"""`make bench`: prints each figure as it is measured, and keeps them as JSON."""

import sys
import tempfile
from pathlib import Path

from bench import (
    convert,
    crowd,
    downloads,
    dropbox,
    embedded,
    figures,
    hours,
    installed,
    speech,
    transcribe,
    uploads,
    wer,
)

PARTS = (
    embedded.measure,
    convert.measure,
    wer.measure,
    hours.measure,
    speech.measure,
    transcribe.measure,
    downloads.measure,
    installed.with_servers,
    uploads.measure,
    crowd.measure,
    dropbox.measure,
)


def main() -> None:
    measured = []
    for measure in PARTS:
        with tempfile.TemporaryDirectory() as folder:
            for figure in measure(Path(folder)):
                print(figure, flush=True)
                measured.append(figure)
    print("Kept in", figures.keep(measured, Path("bench/results")))
    sys.exit(not all(figure.reached for figure in measured))


if __name__ == "__main__":
    main()
