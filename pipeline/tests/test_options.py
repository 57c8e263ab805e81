from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.options import FORMATS, Options, StrictOptions

read = Options.model_validate


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        ({}, {}),
        ({"title": " Vortrag 😀 "}, {"title": "Vortrag 😀"}),
        ({"language": "de"}, {"language": "de"}),
        ({"formats": "txt"}, {"formats": ["txt"]}),
        ({"formats": "txt, srt,,vtt,"}, {"formats": ["txt", "srt", "vtt"]}),
        ({"formats": ["txt,srt", "vtt"]}, {"formats": ["txt", "srt", "vtt"]}),
        ({"transcribe": "false"}, {"transcribe": False}),
        ({"transcribe": "1"}, {"transcribe": True}),
        ({"tags": "physics, 2026"}, {"tags": ["physics", "2026"]}),
        ({"tags": ""}, {"tags": []}),
        ({"notify": "ada@example.org, bob@example.org"}, {"notify": ["ada@example.org", "bob@example.org"]}),
        ({"notify": ""}, {"notify": []}),
        ({"webhook": "https://example.org/done?a=b"}, {"webhook": "https://example.org/done?a=b"}),
        ({"keep_original_days": "7"}, {"keep_original_days": 7}),
        ({"title": "", "language": "", "formats": "", "webhook": "", "keep_result_days": ""}, {}),
    ],
)
def test_texts_and_json_say_the_same(texts: dict[str, Any], values: dict[str, Any]) -> None:
    assert read(texts).kept() == StrictOptions.model_validate(values).kept()


def test_no_address_is_something_else_than_no_word_about_it() -> None:
    assert read({}).notify is None
    assert read({"notify": ""}).notify == ()


@pytest.mark.parametrize(
    "mistake",
    [
        {"title": " "},
        {"title": "x" * 301},
        {"language": "German"},
        {"language": "DE"},
        {"formats": "txt,doc"},
        {"formats": ","},
        {"formats": [5]},
        {"formats": 1},
        {"transcribe": "perhaps"},
        {"tags": "x" * 51},
        {"tags": ",".join("abcdefghijklmnopqrstu")},
        {"notify": "ada"},
        {"notify": "ada@example.org\nBcc: bob@example.org"},
        {"notify": "Ada <ada@example.org>"},
        {"notify": "ada@example.org@example.com"},
        {"notify": "@example.org:ada@example.com"},
        {"notify": ["ada@example.org"] * 11},
        {"webhook": "example.org"},
        {"webhook": "file:///etc/passwd"},
        {"webhook": "https://example.org/" + "x" * 2000},
        {"keep_original_days": "0"},
        {"keep_result_days": "-1"},
        {"keep_result_days": "soon"},
        {"keep_result_days": "36501"},
    ],
)
def test_mistakes_are_told_by_their_name(mistake: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        read(mistake)
    assert {error["loc"][0] for error in refused.value.errors()} == set(mistake)


def test_unknown_names_are_mistakes_only_where_nothing_else_can_be_meant() -> None:
    assert read({"filename": "talk.mp4"}) == Options()
    with pytest.raises(ValidationError):
        StrictOptions.model_validate({"filename": "talk.mp4"})


def test_what_is_kept_is_read_again_as_it_was() -> None:
    given = {
        "title": "Talk",
        "formats": "srt",
        "notify": "",
        "webhook": "https://example.org/",
        "keep_result_days": "9",
    }
    asked = read(given)
    assert Options.model_validate(asked.kept()) == asked
    assert set(asked.kept()) == set(given)
    assert Options().kept() == {}


@pytest.mark.parametrize(
    "same",
    [
        ({}, {"formats": ",".join(FORMATS)}),
        ({"formats": "txt,srt"}, {"formats": "srt,txt,srt"}),
        ({}, {"title": "Talk", "tags": "a", "notify": "", "webhook": "https://example.org", "keep_result_days": "1"}),
        ({"transcribe": "no"}, {"transcribe": "no", "language": "de", "formats": "txt"}),
    ],
)
def test_the_recipe_is_what_results_depend_on(same: tuple[dict[str, str], dict[str, str]]) -> None:
    assert read(same[0]).recipe == read(same[1]).recipe


@pytest.mark.parametrize("other", [{"language": "de"}, {"formats": "txt"}, {"transcribe": "no"}])
def test_another_recipe_makes_other_results(other: dict[str, str]) -> None:
    assert read(other).recipe != Options().recipe
