from pathlib import Path

from pipeline.transcript import About, Layer, Segment, Word, write_layer


def test_times_and_confidences_are_kept_to_the_thousandth(tmp_path: Path) -> None:
    said = Segment(1 / 3, 2 / 3, "Hares.", (Word(1 / 3, 2 / 3, "Hares.", 0.987654321),), confidence=1 - 1e-9)
    write_layer(tmp_path / "layer", About(10 / 3), [said])
    assert (tmp_path / "layer").read_text().splitlines()[1] == (
        '{"start":0.333,"end":0.667,"text":"Hares.",'
        '"words":[{"start":0.333,"end":0.667,"text":"Hares.","confidence":0.988}],"confidence":1.0}'
    )
    read = list(Layer(tmp_path / "layer").segments())
    assert read == [Segment(0.333, 0.667, "Hares.", (Word(0.333, 0.667, "Hares.", 0.988),), confidence=1)]
