import subprocess
from pathlib import Path

from pipeline.ffmpeg import binary


def make_sound(path: Path, *sources: str) -> Path:
    """Mono, 16 kHz, of ffmpeg's own sources, mixed."""
    inputs = [word for source in sources for word in ("-f", "lavfi", "-i", source)]
    mixed = ["-filter_complex", f"amix=inputs={len(sources)}"] if len(sources) > 1 else []
    command = [binary(), "-loglevel", "error", *inputs, *mixed, "-ac", "1", "-ar", "16000", str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path
