import zlib
from dataclasses import replace

import pytest

from transcriber import doubt
from transcriber.heard import Heard

# ruff: noqa: RUF001
PLAIN = {
    "en": "In the morning we went down to the river, because the boats were to be painted before the summer came. "
    "Grandfather had mixed the colours himself, and nobody was allowed to touch the brushes until he had looked at "
    "the sky. It did not rain all day, and by the evening three of the five boats were blue again.",
    "ru": "Утром мы спустились к реке, потому что лодки надо было покрасить до начала лета. Дедушка сам смешал краски, "
    "и никому не разрешалось трогать кисти, пока он не посмотрит на небо. Дождя не было весь день, и к вечеру три "
    "лодки из пяти снова стали синими, а мы сидели на берегу и ели хлеб с мёдом, который принесла соседка.",
    "hi": "सुबह हम नदी के किनारे गए, क्योंकि गर्मी आने से पहले नावों को रंगना था। दादाजी ने रंग खुद मिलाए थे और जब तक वे आसमान की ओर "
    "नहीं देख लेते, किसी को ब्रश छूने की अनुमति नहीं थी। दिन भर बारिश नहीं हुई और शाम तक पाँच में से तीन नावें फिर से नीली हो गईं। "
    "हम किनारे पर बैठकर रोटी और शहद खाते रहे, जो पड़ोस की चाची लाई थीं।",
    "th": "ตอนเช้าเราลงไปที่แม่น้ำ เพราะต้องทาสีเรือก่อนฤดูร้อนจะมาถึง คุณปู่ผสมสีเองและไม่ให้ใครแตะแปรงจนกว่าท่านจะมองท้องฟ้าเสียก่อน "
    "วันนั้นฝนไม่ตกเลย พอตกเย็นเรือสามในห้าลำก็กลับเป็นสีน้ำเงินอีกครั้ง เรานั่งกินขนมปังกับน้ำผึ้งที่เพื่อนบ้านนำมาให้อยู่ริมฝั่ง",
    "ja": "朝になると、夏が来る前に船を塗り直すために、私たちは川まで下りて行きました。祖父は自分で色を混ぜ、空を見るまでは誰にも筆を触らせません"
    "でした。一日中雨は降らず、夕方には五そうのうち三そうがまた青くなり、私たちは岸に座って近所の人が持って来たパンと蜂蜜を食べました。",
}
LINE = {"en": "Thank you. ", "ru": "Спасибо. ", "hi": "धन्यवाद। ", "th": "ขอบคุณครับ ", "ja": "ありがとうございました。"}


def weighed(text: str, compression: float | None) -> Heard:
    (piece,) = doubt.weighed([Heard(0, 29, text, compression=compression)])
    return piece


def as_whisper(text: str) -> float:
    return len(text.encode()) / len(zlib.compress(text.encode()))


@pytest.mark.parametrize("language", PLAIN)
def test_plain_talk_repeats_nothing_in_whatever_script(language: str) -> None:
    text = PLAIN[language]
    assert not doubt.repeats(weighed(text, None))
    assert not doubt.repeats(weighed(text, as_whisper(text)))


@pytest.mark.parametrize("language", LINE)
@pytest.mark.parametrize("times", [14, 20])
def test_a_line_again_and_again_repeats_itself_in_whatever_script(language: str, times: int) -> None:
    text = LINE[language] * times
    assert doubt.repeats(weighed(text, None))
    assert doubt.repeats(weighed(text, as_whisper(text)))


def test_what_goes_round_over_several_pieces_is_weighed_together() -> None:
    told = as_whisper(LINE["ru"] * 14)
    pieces = [Heard(at, at + 1, LINE["ru"].strip(), compression=told) for at in range(14)]
    assert all(doubt.repeats(piece) for piece in doubt.weighed(pieces))
    assert not any(doubt.repeats(piece) for piece in doubt.weighed([replace(pieces[0], compression=1.2)]))


def test_a_text_of_nothing_weighs_nothing() -> None:
    assert not doubt.repeats(weighed("", 1.0))
