"""txt, md and docx: paragraphs for people, with their times where these are asked for, and with who speaks where that is known."""

from collections.abc import Iterable
from pathlib import Path

from docx import Document
from markdown_it.token import Token
from mdformat.renderer import MDRenderer

from pipeline.options import Wording
from pipeline.transcript import Layer, fold
from transcriber.paragraphs import Paragraph, paragraphs

_NOT_XML = str.maketrans(dict.fromkeys("\ufffe\uffff", "\ufffd"))


def txt(layer: Layer, path: Path, wishes: Wording) -> None:
    _write(path, (f"{_head(paragraph, wishes)}{paragraph.text}\n" for paragraph in paragraphs(layer)))


def md(layer: Layer, path: Path, wishes: Wording) -> None:
    """CommonMark, https://spec.commonmark.org; what is said is text and never markup."""
    renderer = MDRenderer()
    _write(path, (renderer.render(_tokens(paragraph, wishes), {}, {}) for paragraph in paragraphs(layer)))


def docx(layer: Layer, path: Path, wishes: Wording) -> None:
    """Office Open XML, ISO/IEC 29500."""
    document = Document()
    document.core_properties.author = document.core_properties.comments = ""
    for paragraph in paragraphs(layer):
        added = document.add_paragraph(_time(paragraph, wishes))
        added.add_run(_speaker(paragraph).translate(_NOT_XML)).bold = True
        added.add_run(paragraph.text.translate(_NOT_XML))
    document.save(str(path))


def _write(path: Path, texts: Iterable[str]) -> None:
    """With an empty line between them."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number, text in enumerate(texts):
            file.writelines(["\n"] * bool(number) + [text])


def _head(paragraph: Paragraph, wishes: Wording) -> str:
    return _time(paragraph, wishes) + _speaker(paragraph)


def _time(paragraph: Paragraph, wishes: Wording) -> str:
    return f"[{paragraph.time}] " if wishes.txt_times else ""


def _speaker(paragraph: Paragraph) -> str:
    name = fold(paragraph.speaker or "")
    return f"{name}: " if name else ""


def _tokens(paragraph: Paragraph, wishes: Wording) -> list[Token]:
    """As a parser of Markdown would give them."""
    time, speaker = _time(paragraph, wishes), _speaker(paragraph)
    said = [*_strong(speaker.strip()), _text(f" {paragraph.text}")] if speaker else [_text(paragraph.text)]
    inline = Token("inline", "", 0, children=[_text(time), *said])
    return [Token("paragraph_open", "p", 1), inline, Token("paragraph_close", "p", -1)]


def _strong(content: str) -> list[Token]:
    return [
        Token("strong_open", "strong", 1, markup="**"),
        _text(content),
        Token("strong_close", "strong", -1, markup="**"),
    ]


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)
