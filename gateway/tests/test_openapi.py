"""The document describes what is there."""

import re
from typing import Any

import pytest

from gateway.tests.conftest import World
from pipeline.options import Options, Wording

METHODS = {"get", "post", "put", "patch", "delete"}
OPERATIONS = {"/healthz", "/readyz", "/metrics", "/"}
"""Routes for who runs the service, and the front door."""


@pytest.fixture
def document(world: World) -> dict[str, Any]:
    answer = world.client.get("/v1/openapi.json")
    assert answer.status_code == 200
    return dict(answer.get_json())


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()]


def test_every_route_is_described(world: World, document: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in world.app.url_map.iter_rules()
        for method in rule.methods or ()
        if method.lower() in METHODS
        and rule.rule not in OPERATIONS
        and not rule.endpoint.startswith(("openapi.", "swagger.", "docs"))
    }
    assert {(path, method) for path, method, _ in operations(document)} == routes


def test_it_is_openapi(document: dict[str, Any]) -> None:
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert document["info"]["title"]
    assert document["info"]["version"]
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for path, _, operation in operations(document):
        assert operation["summary"]
        assert not operation.get("description", "").startswith("<br")
        in_path = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        assert any(status.startswith("2") for status in operation["responses"])
        for status, response in operation["responses"].items():
            assert re.fullmatch(r"[2-5]\d\d", status)
            assert response["description"]


def test_everything_referred_to_is_there(document: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            return [node["$ref"]] if "$ref" in node else [ref for value in node.values() for ref in references(value)]
        return [ref for value in node for ref in references(value)] if isinstance(node, list) else []

    found = references(document)
    assert found
    for reference in found:
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
    schemes = document["components"]["securitySchemes"]
    used = {name for _, _, operation in operations(document) for item in operation.get("security", []) for name in item}
    assert used == set(schemes)


def test_failures_are_problems(document: dict[str, Any]) -> None:
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"]


def test_only_sign_in_formats_links_unsubscribing_and_dropbox_need_no_token(document: dict[str, Any]) -> None:
    public = {path for path, _, operation in operations(document) if operation.get("security") != [{"token": []}]}
    linked = {"/v1/links/{token}", "/v1/links/{token}/artifacts/{name}", "/v1/links/{token}/archive"}
    dropbox = {"/v1/connections/dropbox/callback", "/v1/webhooks/dropbox"}
    unsubscribing = {"/v1/unsubscribe/{token}", "/v1/unsubscribe/{token}/undo"}
    assert public == {"/login", "/v1/formats"} | linked | dropbox | unsubscribing


def test_the_upload_is_described_as_a_file(document: dict[str, Any]) -> None:
    body = document["paths"]["/upload"]["post"]["requestBody"]
    assert body["required"]
    field = body["content"]["multipart/form-data"]["schema"]["properties"]["file"]
    assert field == {"type": "string", "format": "binary"}
    cover = body["content"]["multipart/form-data"]["schema"]["properties"]["cover"]
    assert cover == {"type": "string", "format": "binary", "description": "JPEG or PNG, 5 MB at most."}


def test_a_job_is_described_as_it_is_answered(document: dict[str, Any]) -> None:
    job = document["components"]["schemas"]["Job"]
    assert {
        "id",
        "state",
        "stage",
        "percent",
        "reason",
        "title",
        "created_at",
        "finished_at",
        "artifacts",
        "stages",
        "seconds",
        "reused",
        "options",
    } == set(job["properties"])


def test_what_is_known_of_sound_is_described_with_its_units(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert {"$ref": "#/components/schemas/SoundFacts"} in schemas["Artifact"]["properties"]["facts"]["anyOf"]
    facts, level = schemas["SoundFacts"]["properties"], schemas["Level"]["properties"]
    assert facts["sample_rate"]["description"] == "Hz."
    assert level["true_peak"]["description"] == "dBTP."
    assert {"speed", "seconds_left"} <= set(schemas["Stage"]["properties"])


def test_a_correction_is_described_with_what_it_has_to_say(document: dict[str, Any]) -> None:
    put = document["paths"]["/v1/jobs/{id}/transcript"]["put"]
    assert "If-Match" in {parameter["name"] for parameter in put["parameters"] if parameter["in"] == "header"}
    schemas = document["components"]["schemas"]
    assert set(schemas["GivenSegment"]["properties"]) == {"start", "end", "text", "speaker"}
    read = {"start", "end", "text", "words", "speaker", "confidence", "doubtful"}
    assert set(schemas["Segment"]["properties"]) == read
    assert set(schemas["Again"]["properties"]) == set(Wording.model_fields)


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("transcript", "get", {200, 304, 401, 404, 422, 503}),
        ("transcript", "put", {200, 401, 404, 409, 412, 413, 422, 428, 429, 503, 507}),
        ("transcript/versions", "get", {200, 401, 404, 503}),
        ("transcribe", "post", {202, 401, 404, 409, 413, 422, 429, 501, 503, 507}),
    ],
)
def test_of_transcripts_each_route_says_what_it_answers(
    document: dict[str, Any], path: str, method: str, statuses: set[int]
) -> None:
    answers = document["paths"][f"/v1/jobs/{{id}}/{path}"][method]["responses"]
    assert set(map(int, answers)) == statuses


def test_options_have_the_same_words_and_limits_everywhere(document: dict[str, Any]) -> None:
    listed = document["paths"]["/v1/files/{name}"]["put"]["parameters"]
    query = {parameter["name"]: parameter for parameter in listed}
    form = document["paths"]["/upload"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    body = document["components"]["schemas"]["Address"]["properties"]
    for name, field in Options.model_fields.items():
        assert form[name]["description"] == body[name]["description"] == field.description
        assert query[name]["description"] == field.description
        assert not query[name]["required"]
    presets = ["podcast", "music", "voice", "archive", "phone"]
    for described in (form["preset"], body["preset"], query["preset"]["schema"]):
        assert {"type": "string", "enum": presets} in described["anyOf"]


def test_the_page_needs_nothing_from_elsewhere(world: World) -> None:
    home = world.client.get("/", follow_redirects=True)
    assert (home.status_code, home.request.path, home.mimetype) == (200, "/v1/docs", "text/html")
    assert "openapi.json" in home.text
    needed = re.findall(r'(?:src|href)="([^"]+)"', home.text)
    assert needed
    for address in needed:
        assert "://" not in address
        assert world.client.get(f"/v1/{address}", buffered=True).status_code == 200


def test_options_are_described_on_every_way_in(document: dict[str, Any]) -> None:
    options = set(Options.model_fields)
    query = document["paths"]["/v1/files/{name}"]["put"]["parameters"]
    assert options <= {parameter["name"] for parameter in query if parameter["in"] == "query"}
    form = document["paths"]["/upload"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert options <= set(form["properties"])
    assert options <= set(document["components"]["schemas"]["Address"]["properties"])
