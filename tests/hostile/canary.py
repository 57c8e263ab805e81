"""What must stay where it is: a recording of a tone that nothing else plays, with a secret in it, and a server that gives it out."""

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from dev.threaded import running
from pipeline.ffmpeg import binary
from tests.hostile.making import ffmpeg, sine

TONE = 1000
"""Hz."""

RATE = 8000
"""Hz at which is listened."""


@dataclass(frozen=True)
class Canary:
    """It lies in `folder`, and is given out at `url`; `calls` are the addresses from which somebody came there."""

    folder: Path
    url: str
    secret: bytes = field(default_factory=lambda: secrets.token_hex(16).encode())
    calls: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.folder / "canary.ts"

    def hatch(self) -> None:
        """The secret stands in the sound's own bytes and in the tags; MPEG-TS, which playlists name, is what players join."""
        words = ("-metadata", f"service_name={self.secret.decode()}")
        ffmpeg(*sine(2, TONE), "-c:a", "mp2", *words, "-f", "mpegts", self.path)
        self.path.write_bytes(self.path.read_bytes() + self.secret)

    def shows(self, file: Path, *options: str) -> bool:
        """Whether an ffmpeg with no guards but `options` finds the canary when it reads `file`: its secret or its tone."""
        command: list[str | Path] = [binary(), "-v", "error", "-nostdin", *options, "-i", file]
        pcm = _said([*command, "-vn", "-ac", "1", "-ar", str(RATE), "-f", "f32le", "-"], file.parent)
        copy = _said([*command, "-c", "copy", "-f", "matroska", "-"], file.parent)
        return self.secret in copy or sings(np.frombuffer(pcm[: len(pcm) // 4 * 4], dtype="<f4"))


@contextmanager
def canary(folder: Path) -> Iterator[Canary]:
    """A canary that listens on loopback for the block."""
    server = _Server(("127.0.0.1", 0), _Song)
    server.canary = Canary(folder, f"http://127.0.0.1:{server.server_port}/canary.ts")
    server.canary.hatch()
    with running(server):
        yield server.canary


class _Server(ThreadingHTTPServer):
    canary: Canary

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Every connection is a call, whatever is said on it."""
        self.canary.calls.append(str(client_address))
        return True


class _Song(BaseHTTPRequestHandler):
    """Gives the canary to whoever asks for anything."""

    server: _Server

    def do_GET(self) -> None:
        content = self.server.canary.path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""


def _said(command: list[str | Path], folder: Path) -> bytes:
    return subprocess.run(command, capture_output=True, timeout=60, cwd=folder).stdout


def sings(samples: "np.ndarray[Any, np.dtype[np.float32]]") -> bool:
    """Whether in any quarter of a second a hundredth of the sound's power is the tone."""
    length = RATE // 4
    for begin in range(0, len(samples) - length + 1, length):
        power = np.abs(np.fft.rfft(samples[begin : begin + length] * np.hanning(length))) ** 2
        place = TONE * length // RATE
        if power.sum() > 0 and power[place - 2 : place + 3].sum() > power.sum() / 100:
            return True
    return False
