from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.audio import Audio, AudioFormat, Mode, Preset
from pipeline.options import FORMATS, MOST_TERMS, KeptOptions, Options, StrictOptions, others, reachable

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


def test_an_address_that_is_named_twice_counts_once_whatever_its_letters() -> None:
    assert read({"notify": "ada@x.org,Ada@X.org,bob@x.org,ada@x.ORG"}).notify == ("ada@x.org", "bob@x.org")


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
        {"notify": "ada@=?utf-8?q?example.org?="},
        {"notify": "=?utf-8?q?ada?=@example.org"},
        {"notify": "ada@example.org%"},
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
        ({}, {"tags": "a", "notify": "", "webhook": "https://example.org", "keep_result_days": "1"}),
        ({"transcribe": "no"}, {"transcribe": "no", "language": "de", "formats": "txt"}),
        ({"title": "Talk"}, {"title": " Talk "}),
        ({}, {"title": ""}),
    ],
)
def test_the_recipe_is_what_results_depend_on(same: tuple[dict[str, str], dict[str, str]]) -> None:
    assert read(same[0]).recipe == read(same[1]).recipe


@pytest.mark.parametrize("other", [{"language": "de"}, {"formats": "txt"}, {"transcribe": "no"}, {"title": "Talk"}])
def test_another_recipe_makes_other_results(other: dict[str, str]) -> None:
    assert read(other).recipe != Options().recipe


def test_terms_are_the_jobs_own_and_then_the_accounts_each_once() -> None:
    kept = KeptOptions(glossary=("Flopsy", "flopsy"), account_glossary=("FLOPSY", "Mopsy"))
    assert kept.terms == ("Flopsy", "Mopsy")
    assert KeptOptions.model_validate(kept.kept()) == kept
    assert read(kept.kept()) == Options(glossary=("Flopsy", "flopsy")), "an account's terms are not what was asked for"
    many = KeptOptions(glossary=("Flopsy",), account_glossary=tuple(str(number) for number in range(MOST_TERMS)))
    assert (many.terms[:2], len(many.terms)) == (("Flopsy", "0"), MOST_TERMS)


def test_the_recipe_asks_for_terms_and_not_for_whose_they_are() -> None:
    ours = KeptOptions(glossary=("Flopsy",), account_glossary=("Mopsy",))
    assert ours.recipe == Options(glossary=("Flopsy", "Mopsy")).recipe
    assert ours.recipe != Options(glossary=("Flopsy",)).recipe
    silent = ours.model_copy(update={"transcribe": False})
    assert silent.recipe == Options(transcribe=False).recipe


TITLES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=50)
TIMES = st.floats(0, 360000).map(lambda seconds: round(seconds, 3))
FADES = st.floats(0, 60)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "preset": st.sampled_from(get_args(Preset)),
    "audio": st.lists(st.sampled_from(get_args(AudioFormat)), min_size=1, max_size=6),
    "mode": st.sampled_from(get_args(Mode)),
    "bitrate": st.integers(8, 512),
    "quality": st.integers(0, 9),
    "channels": st.sampled_from([1, 2]),
    "sample_rate": st.sampled_from([8000, 44100, 48000]),
    "start": TIMES,
    "end": TIMES,
    "fade_in": FADES,
    "fade_out": FADES,
    "silence": st.floats(0.1, 60),
    "true_peak": st.floats(-9, 0),
    "denoise": st.booleans(),
    "loudness": st.one_of(st.integers(-40, -5), st.just(-16.5), st.just("off")),
    "speed": st.sampled_from([0.5, 1, 1.25, 3]),
    "speech": st.booleans(),
    "waveform": st.booleans(),
    "partial": st.booleans(),
    "track": st.one_of(st.integers(0, 99), st.sampled_from(["de", "eng", "pt-BR"])),
    "artist": TITLES,
    "date": st.one_of(st.integers(1000, 9999), st.dates().map(str)),
    "chapters": st.lists(TITLES).map(lambda titles: [f"{start} {title}" for start, title in enumerate(titles)]),
    "title": TITLES,
    "formats": st.lists(st.sampled_from(FORMATS), min_size=1),
    "transcribe": st.booleans(),
    "keep_result_days": st.integers(1, 36500),
}


def text_of(name: str, value: Any) -> str:
    """As it stands in a form, a query, and the metadata of a resumable upload."""
    if isinstance(value, list):
        return ("\n" if name == "chapters" else ",").join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def outcome(options: dict[str, Any]) -> Options | set[Any]:
    try:
        return read(options)
    except ValidationError as refused:
        return {(error["loc"][0], error["type"]) for error in refused.errors()}


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_each_option_means_the_same_as_text_and_as_json(values: dict[str, Any]) -> None:
    asked = outcome(values)
    assert outcome({name: text_of(name, value) for name, value in values.items()}) == asked
    if isinstance(asked, Options):
        assert read(asked.kept()) == asked


def test_every_option_of_the_sound_is_tried_as_text_and_as_json() -> None:
    assert set(Audio.model_fields) <= set(VALUES)


@pytest.mark.parametrize("blank", ["", [""]])
def test_a_blank_field_is_not_given(blank: Any) -> None:
    blanks = {name: blank for name in Options.model_fields if name not in ("notify", "chapters")}
    assert read(blanks) == Options()


@pytest.mark.parametrize(
    "other",
    [
        {"preset": "voice"},
        {"audio": "flac"},
        {"start": "1:00"},
        {"chapters": ""},
        {"artist": "Ada"},
        {"waveform": "no"},
    ],
)
def test_other_sound_is_another_recipe(other: dict[str, str]) -> None:
    assert read(other).recipe != Options().recipe


@pytest.mark.parametrize("address", ["ada@example.org", "admin@localhost", "a.b+c@x_y.intern"])
def test_a_user_hears_of_jobs_at_the_own_address(address: str) -> None:
    assert reachable(address) == (address,)


@pytest.mark.parametrize("address", ["jörg@example.org", "ada@例え.jp", "a,b@example.org", "ada@=?utf-8?q?x?="])
def test_a_user_whom_mail_does_not_reach_has_jobs_that_can_be_read_again(address: str) -> None:
    kept = Options(notify=reachable(address)).kept()
    assert KeptOptions.model_validate(kept).notify == ()


def test_a_user_is_no_other_in_other_capitals() -> None:
    assert others(["ada@x.org", "Bob@x.org"], "Ada@X.org") == 1
    assert others(None, None) == 0
