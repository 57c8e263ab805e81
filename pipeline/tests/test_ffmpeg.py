import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import ffmpeg
import pytest

from pipeline.errors import Interrupted
from pipeline.ffmpeg import FFmpegFailed, binary, run, sound, source
from pipeline.work import Progress

ROOT = Path(__file__).parents[2]
TALK = ROOT / "tests" / "media" / "talk.mp4"


def make(path: Path, *arguments: str) -> Path:
    subprocess.run([binary(), "-v", "error", "-nostdin", "-y", *arguments, path], check=True)
    return path


def start(
    output: object,
    folder: Path,
    *,
    duration: float | None = 11.0,
    deadline: float = 30,
    progress: Progress = lambda percent, speed=None: None,
    output_limit: int = 10**8,
) -> float:
    return run(
        output, folder=folder, duration=duration, deadline=deadline, progress=progress, output_limit=output_limit
    )


def ffmpegs(folder: Path) -> list[Path]:
    """The /proc entries of the ffmpeg processes that work in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder and (process / "exe").readlink() == Path(binary()).resolve():
                found.append(process)
        except OSError:  # gone meanwhile, or a kernel thread
            continue
    return found


def wait_until(condition: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "talk.mp4").symlink_to(TALK)
    return tmp_path


@pytest.fixture
def slow(folder: Path) -> object:
    """Takes as long as it plays: 11 seconds."""
    return ffmpeg.output(source("talk.mp4", re=None)["a:0"], "file:out.mp3")


def test_an_mp3_is_as_long_as_its_source(folder: Path) -> None:
    assert start(ffmpeg.output(sound("talk.mp4"), "file:out.mp3"), folder) == pytest.approx(11.0, abs=0.01)
    assert (folder / "out.mp3").stat().st_size > 100_000


def test_progress_rises_to_the_end_and_is_told_several_times_a_second(folder: Path) -> None:
    percents: list[float] = []
    output = ffmpeg.output(source("talk.mp4", readrate=4)["a:0"], "file:out.mp3")
    start(output, folder, progress=lambda percent, speed=None: percents.append(percent))
    assert percents == sorted(percents)
    assert percents[-1] == pytest.approx(100, abs=1)
    assert any(10 < percent < 90 for percent in percents)
    assert len(percents) >= 6, "it takes three seconds"


def test_no_percentage_is_made_up_where_the_length_is_unknown(folder: Path) -> None:
    told: list[float] = []
    start(
        ffmpeg.output(sound("talk.mp4"), "file:out.mp3"),
        folder,
        duration=None,
        progress=lambda percent, speed=None: told.append(percent),
    )
    assert set(told) == {0.0}


def test_speed_is_told_once_it_is_known(folder: Path) -> None:
    recording = make(folder / "talk.mp3", "-i", str(TALK), "-b:a", "32k").read_bytes()
    os.mkfifo(folder / "late.mp3")
    told: list[float | None] = []

    def tell(percent: float, speed: float | None = None) -> None:
        if not told:
            (folder / "late.mp3").write_bytes(recording)  # until now ffmpeg had nothing to begin with
        told.append(speed)

    begun = time.monotonic()
    start(ffmpeg.output(source("late.mp3", readrate=8)["a:0"], "file:out.mp3"), folder, duration=None, progress=tell)
    least = 11 / (time.monotonic() - begun)  # on a busy machine it is less than what was asked for
    assert told[0] is None
    assert told[-1]
    assert least <= told[-1] < 8 * 1.3


def test_ffmpeg_sees_no_environment_and_has_limits_and_a_group_of_its_own(folder: Path, slow: object) -> None:
    seen: list[tuple[bytes, str, int]] = []

    def look(percent: float, speed: float | None = None) -> None:
        for process in ffmpegs(folder):
            limits = (process / "limits").read_text()
            seen.append(((process / "environ").read_bytes(), limits, os.getpgid(int(process.name))))
            raise Interrupted

    with pytest.raises(Interrupted):
        start(slow, folder, progress=look, output_limit=123456)
    environment, limits, group = seen[0]
    assert environment == b""
    assert group != os.getpgid(0)
    assert {line.split("  ")[0]: line.split()[-3] for line in limits.splitlines()[1:]}["Max file size"] == "123456"
    assert "Max address space         2147483648" in limits


def test_an_interruption_ends_ffmpeg_at_once_and_goes_on(folder: Path, slow: object) -> None:
    def interrupt(percent: float, speed: float | None = None) -> None:
        if ffmpegs(folder):
            raise Interrupted

    begun = time.monotonic()
    with pytest.raises(Interrupted):
        start(slow, folder, progress=interrupt)
    assert not ffmpegs(folder)
    assert time.monotonic() - begun < 8


def test_ffmpeg_is_killed_at_the_deadline(folder: Path, slow: object) -> None:
    begun = time.monotonic()
    with pytest.raises(FFmpegFailed) as failed:
        start(slow, folder, deadline=0.5)
    assert failed.value.kind == "deadline"
    assert not ffmpegs(folder)
    assert time.monotonic() - begun < 8


def test_ffmpeg_uses_no_more_of_the_processors_than_it_may_while_nobody_watches(folder: Path) -> None:
    def look_away(percent: float, speed: float | None = None) -> None:
        if ffmpegs(folder):
            wait_until(lambda: not ffmpegs(folder), 60)

    endless = ffmpeg.output(sound("talk.mp4", stream_loop=-1), "file:out.mp3")
    with pytest.raises(FFmpegFailed) as failed:
        start(endless, folder, deadline=0.1, progress=look_away)
    assert failed.value.kind == "deadline"


def test_ffmpeg_that_is_told_to_stop_is_no_fault_of_the_recording(folder: Path, slow: object) -> None:
    told = set[int]()  # one that hears it often exits as if it had failed

    def stop(percent: float, speed: float | None = None) -> None:
        for pid in {int(process.name) for process in ffmpegs(folder) if speed} - told:
            told.add(pid)
            os.kill(pid, signal.SIGTERM)

    with pytest.raises(FFmpegFailed) as failed:
        start(slow, folder, progress=stop)
    assert told
    assert failed.value.kind == "machine"


def test_what_takes_too_much_memory_is_told_apart(folder: Path) -> None:
    # At once: where several threads run out of it, ffmpeg may wait for itself until its deadline.
    program = (
        "import ffmpeg, pathlib; from pipeline.ffmpeg import FFmpegFailed, run, sound\n"
        "output = ffmpeg.output(sound('talk.mp4').filter('asetnsamples', n=10**9), 'file:out.mp3')\n"
        "try:\n"
        f"    run(output, folder=pathlib.Path({str(folder)!r}), duration=None, deadline=60, progress=lambda *_: None,"
        " output_limit=10**8)\n"
        "except FFmpegFailed as failed:\n"
        "    print(failed.kind)\n"
    )
    worker = ["prlimit", f"--as={400 * 2**20}", "--", sys.executable, "-c", program]
    assert subprocess.run(worker, cwd=ROOT, check=True, capture_output=True).stdout == b"memory\n"


def test_ffmpeg_dies_with_a_worker_that_is_killed(folder: Path) -> None:
    program = (
        "import ffmpeg, pathlib; from pipeline.ffmpeg import run, source\n"
        "output = ffmpeg.output(source('talk.mp4', re=None)['a:0'], 'file:out.mp3')\n"
        f"run(output, folder=pathlib.Path({str(folder)!r}), duration=None, deadline=60,"
        " progress=lambda *_: None, output_limit=10**8)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT) as worker:
        try:
            wait_until(lambda: ffmpegs(folder), 20)
        finally:
            worker.send_signal(signal.SIGKILL)
    wait_until(lambda: not ffmpegs(folder), 8)


def test_no_output_grows_beyond_its_limit(folder: Path) -> None:
    with pytest.raises(FFmpegFailed) as failed:
        start(ffmpeg.output(sound("talk.mp4"), "file:out.wav"), folder, output_limit=100_000)
    assert failed.value.kind == "output limit"
    assert (folder / "out.wav").stat().st_size <= 100_000


def test_of_an_endless_complaint_the_end_is_kept(folder: Path) -> None:
    (folder / "noise.aac").write_bytes(bytes([0xFF, 0xF1, 0x50, 0x80, 0x02, 0x1F, 0xFC]) * 50_000)
    with pytest.raises(FFmpegFailed) as failed:
        start(ffmpeg.output(source("noise.aac")["a:0"], "file:out.mp3"), folder)
    assert failed.value.kind == "error"
    assert 0 < len(failed.value.log) <= 8192


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:11\n#EXTINF:11,\ncanary.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile canary.ts\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:11\n#EXTINF:11,\nfile:canary.ts\n#EXT-X-ENDLIST\n",
    ],
    ids=["playlist", "list of parts", "playlist of addresses"],
)
def test_a_file_that_points_at_others_is_not_followed(folder: Path, text: str) -> None:
    make(folder / "canary.ts", "-i", str(TALK), "-c", "copy")
    (folder / "movie.mp4").write_text(text)
    with pytest.raises(FFmpegFailed) as failed:
        start(ffmpeg.output(source("movie.mp4")["a:0"], "file:out.mp3"), folder)
    assert failed.value.kind == "error"
    assert not (folder / "out.mp3").exists()


def test_two_hundred_streams_are_refused(folder: Path) -> None:
    make(folder / "many.mp4", "-f", "lavfi", "-i", "sine=d=0.1", *("-map", "0:a") * 200, "-c:a", "aac")
    with pytest.raises(FFmpegFailed):
        start(ffmpeg.output(source("many.mp4")["a:0"], "file:out.mp3"), folder)


def test_a_huge_picture_is_never_decoded(folder: Path) -> None:
    picture = ("-f", "lavfi", "-i", "color=s=8192x4096:d=0.04", "-c:v", "libx264", "-preset", "ultrafast", "-shortest")
    make(folder / "huge.mp4", "-f", "lavfi", "-i", "sine=d=0.1", *picture, "-c:a", "aac")
    program = (
        "import ffmpeg, pathlib, resource; from pipeline.ffmpeg import run, source\n"
        "run(ffmpeg.output(source('huge.mp4')['a:0'], 'file:out.mp3'), duration=None, deadline=20, output_limit=10**6,"
        f" progress=lambda *_: None, folder=pathlib.Path({str(folder)!r}))\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    used = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True).stdout
    assert int(used) < 60_000  # KiB


def test_gaps_and_a_late_start_keep_the_clock(folder: Path) -> None:
    gap = ("-bsf:a", r"noise=drop=lt(n\,100)+between(n\,200\,300)")
    make(folder / "gaps.mka", "-i", str(TALK), "-vn", "-c:a", "copy", *gap)
    assert start(ffmpeg.output(sound("gaps.mka"), "file:out.mp3"), folder) == pytest.approx(11.0, abs=0.1)
    samples = subprocess.run(
        [binary(), "-v", "error", "-i", folder / "out.mp3", "-f", "s16le", "-ac", "1", "-"], capture_output=True
    ).stdout
    assert len(samples) / 2 / 44100 == pytest.approx(11.0, abs=0.1)
