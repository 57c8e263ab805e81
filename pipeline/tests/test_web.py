import json
import re
from collections.abc import Iterator
from threading import Event

import pytest
import structlog
from flask import Flask
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from pipeline import problems, readiness, telemetry, web
from pipeline.readiness import Ready, checks

CAME = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def make_app(ready: Ready = dict) -> Flask:
    app = Flask("test", static_folder=None)
    web.instrument(app, "test", ready)
    problems.register(app)

    @app.get("/things/<name>")
    def thing(name: str) -> dict[str, object]:
        return {"trace": telemetry.traceparent(), "bound": structlog.contextvars.get_contextvars()}

    @app.get("/broken")
    def broken() -> str:
        raise ZeroDivisionError

    @app.get("/stream")
    def stream() -> Iterator[bytes]:
        yield b"one"
        yield b"two"

    return app


@pytest.fixture
def client() -> FlaskClient:
    return make_app().test_client()


def requests_counted(client: FlaskClient, route: str, status: int, method: str = "GET") -> float:
    line = rf'http_request_duration_seconds_count\{{method="{method}",route="{route}",service="test",status="{status}"\}} (\S+)'
    found = re.search(line, client.get("/metrics").text)
    return float(found[1]) if found else 0


def test_a_living_service_says_so(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "ok"}


def test_metrics_are_served_in_prometheus_text(client: FlaskClient) -> None:
    assert client.get("/metrics").content_type.startswith("text/plain; version=")


def test_a_trace_that_came_goes_on(client: FlaskClient) -> None:
    response = client.get("/things/a", headers={"traceparent": CAME})
    trace = telemetry.Trace.parse(response.headers["traceparent"])
    assert trace is not None
    assert trace.trace_id == response.headers["X-Request-Id"] == CAME[3:35]
    assert trace.span_id != CAME[36:52]
    assert response.json == {"trace": str(trace), "bound": {"trace": str(trace)}}


def test_without_a_trace_one_begins_with_each_request(client: FlaskClient) -> None:
    ids = {client.get("/things/a", headers={"traceparent": "junk"}).headers["X-Request-Id"] for _ in range(2)}
    assert len(ids) == 2


def test_what_an_earlier_request_bound_is_forgotten(client: FlaskClient) -> None:
    structlog.contextvars.bind_contextvars(job="of somebody else")
    assert set(json.loads(client.get("/things/a").data)["bound"]) == {"trace"}


@pytest.mark.parametrize(
    ("path", "status", "route"),
    [("/things/a", 200, "/things/<name>"), ("/broken", 500, "/broken"), ("/x", 404, "none")],
)
def test_every_request_is_logged_and_counted_by_its_route(
    client: FlaskClient, path: str, status: int, route: str
) -> None:
    before = requests_counted(client, route, status)
    with capture_logs() as logs:
        client.get(f"{path}?token=secret").close()
    line = logs[-1]
    assert (line["event"], line["method"], line["route"], line["status"]) == ("request", "GET", route, status)
    assert 0 <= line["seconds"] < 5
    assert "secret" not in str(logs)
    assert requests_counted(client, route, status) == before + 1


def test_a_stream_is_counted_when_its_last_byte_is_out(client: FlaskClient) -> None:
    before = requests_counted(client, "/stream", 200)
    response = client.get("/stream", buffered=False)
    assert requests_counted(client, "/stream", 200) == before
    assert response.data == b"onetwo"
    response.close()
    assert requests_counted(client, "/stream", 200) == before + 1


def test_made_up_methods_make_no_new_series(client: FlaskClient) -> None:
    client.open("/things/a", method="BREW").close()
    assert requests_counted(client, "none", 405, method="other") == 1
    assert "BREW" not in client.get("/metrics").text


def test_probes_are_not_logged(client: FlaskClient) -> None:
    with capture_logs() as logs:
        for path in ("/healthz", "/readyz", "/metrics"):
            client.get(path).close()
    assert logs == []


def test_a_service_is_ready_when_all_its_parts_are() -> None:
    response = make_app(checks(one=lambda: None, two=lambda: 5)).test_client().get("/readyz")
    assert (response.status_code, response.json) == (200, {"status": "ok", "checks": {"one": "ok", "two": "ok"}})


def test_a_part_that_fails_makes_it_unready_without_telling_why() -> None:
    def fail() -> None:
        raise OSError("secret")

    response = make_app(checks(one=fail, two=lambda: None)).test_client().get("/readyz")
    assert response.status_code == 503
    assert response.json == {"status": "unavailable", "checks": {"one": "away", "two": "ok"}}


def test_a_part_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "CHECK_SECONDS", 0.1)
    release = Event()
    client = make_app(checks(one=lambda: release.wait(30), two=lambda: None)).test_client()
    try:
        for _ in range(6):
            assert json.loads(client.get("/readyz").data)["checks"]["one"] == "away"
    finally:
        release.set()
