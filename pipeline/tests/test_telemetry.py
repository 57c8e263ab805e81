import json
import subprocess
import sys
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import structlog

from pipeline import telemetry
from pipeline.telemetry import Trace

CAME = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def log_lines(code: str, log_format: str = "json") -> list[str]:
    """What a process that runs `code` after `configure` writes to stderr."""
    prelude = (
        f"import logging, structlog; from pipeline import telemetry; telemetry.configure({log_format!r}, 'test')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", prelude + code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_a_traceparent_is_read_and_written() -> None:
    trace = Trace.parse(CAME)
    assert trace == Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "01")
    assert str(trace) == CAME


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "junk",
        CAME.upper(),
        CAME[:-1],
        f"{CAME}-more",
        f"ff{CAME[2:]}",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        f"{CAME}\n",
    ],
)
def test_an_invalid_traceparent_is_none(header: str | None) -> None:
    assert Trace.parse(header) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert str(Trace.parse(f"cc{CAME[2:-2]}09-more")) == CAME


def test_a_child_is_another_span_of_the_same_trace() -> None:
    child = Trace.new().child()
    assert Trace.parse(str(child)) == child
    assert child.child().trace_id == child.trace_id
    assert child.child().span_id != child.span_id


def test_following_a_trace_tells_the_next_hop() -> None:
    trace = telemetry.follow(CAME)
    assert telemetry.traceparent() == str(trace)
    structlog.contextvars.clear_contextvars()
    assert telemetry.traceparent() is None


def test_json_lines_hold_event_level_time_service_and_what_is_bound() -> None:
    [line] = log_lines("telemetry.follow(None); structlog.get_logger().info('hello', bytes=5)")
    event = json.loads(line)
    assert {"event": "hello", "level": "info", "service": "test", "bytes": 5}.items() <= event.items()
    assert event["timestamp"].endswith("Z")
    assert Trace.parse(event["trace"])


def test_text_lines_are_for_people() -> None:
    [line] = log_lines("structlog.get_logger().info('hello', bytes=5)", "text")
    assert "hello" in line
    assert "bytes=5" in line


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_an_exception_is_logged_with_its_trace_and_without_its_secrets(log_format: str) -> None:
    code = """
try:
    raise OSError("amqp://user:hunter2@host/ is away")
except OSError:
    structlog.get_logger().exception("failed")
    logging.getLogger("library").exception("failed too")
"""
    text = "\n".join(log_lines(code, log_format))
    assert text.count("Traceback") == 2
    assert text.count("amqp://[hidden]@host/") >= 2
    assert "hunter2" not in text


def test_libraries_are_heard_from_warnings_on_in_the_same_form() -> None:
    [line] = log_lines("log = logging.getLogger('library'); log.info('chatter'); log.warning('look: %s', 5)")
    assert json.loads(line)["event"] == "look: 5"
    assert json.loads(line)["service"] == "test"


@pytest.mark.parametrize(
    "name", ["password", "admin_password", "Authorization", "refresh_token", "speech_key", "link_keys"]
)
def test_values_with_telling_names_are_hidden(name: str) -> None:
    assert telemetry.hide_secrets(None, "", {name: "hunter2", "deep": [{name: "hunter2"}]}) == {
        name: "[hidden]",
        "deep": [{name: "[hidden]"}],
    }


@pytest.mark.parametrize(
    "text",
    [
        "mysql+mysqldb://user:hunter2@host/db",
        "mongodb://user:a@hunter2@host",
        "Authorization: Bearer hunter2",
        "Authorization: Basic hunter2",
        "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJodW50ZXIyIn0.hunter2",
    ],
)
def test_credentials_inside_texts_are_hidden(text: str) -> None:
    event = telemetry.hide_secrets(None, "", {"event": f"it said {text} and more"})
    assert "hunter2" not in event["event"]
    assert event["event"].startswith("it said ")
    assert event["event"].endswith(" and more")


def test_harmless_values_stay() -> None:
    event = {
        "event": "see https://host/path?x=1 or a@b.c",
        "job": "0123",
        "count": 5,
        "kind": "encode",
        "keyboard": "de",
    }
    assert telemetry.hide_secrets(None, "", event) == event


def test_a_worker_serves_its_metrics_and_its_health() -> None:
    states, remarks = {"catalog": "ok"}, {"models": "one ends soon"}
    server = telemetry.serve_metrics(0, lambda: states, lambda: remarks, isolation="seccomp")
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        assert json.load(urlopen(f"{url}/healthz", timeout=5)) == {"status": "ok"}
        told = {"status": "ok", "checks": {"catalog": "ok"}, "isolation": "seccomp"}
        assert json.load(urlopen(f"{url}/readyz", timeout=5)) == told | remarks
        remarks.clear()
        assert json.load(urlopen(f"{url}/readyz", timeout=5)) == told
        states["catalog"] = "away"
        with pytest.raises(HTTPError, match="503"):
            urlopen(f"{url}/readyz", timeout=5)
        assert b"python_info" in urlopen(f"{url}/metrics", timeout=5).read()
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{url}/else", timeout=5)
    finally:
        server.shutdown()
        server.server_close()


def test_workers_need_no_flask() -> None:
    code = "import sys; sys.modules['flask'] = None; import pipeline.telemetry, pipeline.database, pipeline.migrate"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
