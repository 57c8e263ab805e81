"""moviepy 1.0.3, by which converters of tutorials turn videos into MP3s, in an environment of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parent / ".cache/moviepy"
LOCK = HERE.parent / "requirements/moviepy.txt"


def install() -> None:
    """Once for each lock file. Raises subprocess.CalledProcessError."""
    installed = ENVIRONMENT / "installed.txt"
    if installed.exists() and installed.read_bytes() == LOCK.read_bytes():
        return
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True, timeout=120)
    pip = [str(ENVIRONMENT / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", str(LOCK)], check=True, timeout=600)
    shutil.copy(LOCK, installed)


def encode(source: Path, target: Path) -> float:
    """The seconds of the conversion from file to file. Raises subprocess.CalledProcessError."""
    command = [ENVIRONMENT / "bin/python", HERE / "moviepy_encode.py", source, target]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=1200).stdout)
