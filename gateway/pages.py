"""Pages for people who come with a browser, by a link that is a secret."""

from typing import Any

from flask import Response, render_template
from flask_openapi3.types import ResponseDict

PAGE: ResponseDict = {200: {"description": "A page.", "content": {"text/html": {"schema": {"type": "string"}}}}}
"""Responses of a route that shows a page."""

_GUARDED = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


def page(template: str, **shown: Any) -> Response:
    """No other site learns where it is, loads anything into it, or has its reader click in it unseen."""
    return Response(render_template(template, **shown), headers=_GUARDED, content_type="text/html; charset=utf-8")
