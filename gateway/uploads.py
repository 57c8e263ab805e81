"""One request, one file, one job: `/upload` as a form, `/v1/files/{name}` as it is."""

from typing import Any

from flask import request

from gateway import api as described
from gateway import intake, models, multipart, receiving
from gateway.services import services
from pipeline.blobs import new_original
from pipeline.jobs import Job
from pipeline.options import Options, StrictOptions
from pipeline.problems import Problem

Answer = tuple[dict[str, Any], int, dict[str, str]]

api = described.private_routes("uploads", [400, 409, 413, 415, 422, 429, 501, 503, 507])


@api.post(
    "/upload",
    summary="Upload a recording as a form",
    responses={202: models.Job},
    openapi_extensions={"requestBody": described.form_of(Options, cover="JPEG or PNG, 5 MB at most.")},
)
def upload() -> Answer:
    """Takes exactly one recording, in a field of any name but `cover`; options are fields beside it, in any order.

    The answer comes once file and job are safe; `Location` is the job.
    """
    boundary = _boundary()
    length = request.content_length
    request.max_content_length = services().settings.upload_limit + multipart.OVERHEAD
    with intake.admitted(None if length is None else max(0, length - multipart.OVERHEAD)) as limit:
        blob = new_original()
        with services().blobs.create(blob) as target:
            receiver = receiving.Receiver(target, limit)
            form = multipart.receive(request.stream, boundary, receiver)
            wanted = intake.read_options(_flat(form.fields))
            intake.check(wanted)
        found = intake.original(form.name, receiver.size, receiver.sha256, blob)
        return accepted(intake.accept(found, wanted, form.cover))


@api.put(
    "/v1/files/<path:name>",
    summary="Upload a recording as it is",
    responses={202: models.Job},
    openapi_extensions={"requestBody": described.BODY},
)
def put_file(path: models.FilePath, query: StrictOptions) -> Answer:
    """The body is the file, options are in the query. `Content-Digest` and `Repr-Digest` (RFC 9530) are checked."""
    return _receive(path.name, query)


@api.post(
    "/v1/files/<path:name>",
    summary="Upload a recording as it is, by POST",
    responses={202: models.Job},
    openapi_extensions={"requestBody": described.BODY},
)
def post_file(path: models.FilePath, query: StrictOptions) -> Answer:
    """The same as PUT: every upload is a job of its own."""
    return _receive(path.name, query)


def accepted(job: Job) -> Answer:
    return models.Job.of(job).model_dump(mode="json"), 202, {"Location": f"/v1/jobs/{job.id}"}


def _boundary() -> bytes:
    if request.mimetype != "multipart/form-data":
        raise Problem("media_type", "The file goes into a field of multipart/form-data.")
    boundary = request.mimetype_params.get("boundary")
    if not boundary or not boundary.isascii():
        raise Problem("malformed", "The Content-Type names no boundary.")
    return boundary.encode()


def _receive(name: str, wanted: Options) -> Answer:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Problem("media_type", "The body is the file itself, without a Content-Encoding.")
    expected = receiving.expected_digests(request.headers.get("Content-Digest"), request.headers.get("Repr-Digest"))
    intake.check(wanted)
    request.max_content_length = services().settings.upload_limit
    with intake.admitted(request.content_length) as limit:
        blob = new_original()
        with services().blobs.create(blob) as target:
            receiver = receiving.Receiver(target, limit, expected)
            receiving.receive(request.stream, receiver, request.content_length)
        return accepted(intake.accept(intake.original(name, receiver.size, receiver.sha256, blob), wanted))


def _flat(given: dict[str, list[str]]) -> dict[str, Any]:
    """What is given once is a value, what is given more often a list."""
    return {name: values[0] if len(values) == 1 else values for name, values in given.items()}
