"""What a service says of the language, in all the ways that services have."""

import json
from typing import Any

import pytest

from transcriber.answer import Answer


def read(language: Any) -> str | None:
    return Answer.model_validate_json(json.dumps({"text": "a", "language": language})).language


@pytest.mark.parametrize(
    ("told", "code"),
    [
        *[("english", "en"), ("Welsh", "cy"), ("cantonese", "yue"), ("haitian creole", "ht"), ("nynorsk", "nn")],
        *[("myanmar", "my"), ("castilian", "es"), ("javanese", "jv"), ("hawaiian", "haw"), ("Deutsch", "de")],
        *[("en", "en"), ("deu", "de"), ("pt-BR", "pt"), ("zh-Hans", "zh"), ("jw", "jv")],
    ],
)
def test_a_language_is_told_by_its_code_whatever_the_service_calls_it(told: str, code: str) -> None:
    assert read(told) == code


@pytest.mark.parametrize(
    "told", ["", " ", "unknown", "und", "zz", "x-private", "de\n", "a b c", "?" * 100_000, 7, None, ["en"]]
)
def test_what_is_no_language_is_none(told: Any) -> None:
    assert read(told) is None
