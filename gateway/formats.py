"""/v1/formats: what may come in, and what may be asked for."""

from typing import Any

from pydantic import BaseModel, Field

from gateway.api import routes
from pipeline.audio import PRESETS, SIZES, AudioFormat, Preset
from pipeline.formats import INPUTS, OUTPUTS, USES

api = routes("formats", [503])


class Input(BaseModel):
    """A kind of recording that is taken. A file is what its bytes say, whatever its name."""

    extension: str
    description: str


class Output(BaseModel):
    """A kind of sound file that can be made."""

    name: AudioFormat = Field(description="As in the option `audio`.")
    extension: str
    type: str = Field(description="Media type.")
    description: str
    options: list[str] = Field(
        description="Which of `mode`, `bitrate` and `quality` count for it; the other options count for all."
    )


class PresetOptions(BaseModel):
    """Options that go together; those that are given beside a preset go before it."""

    name: Preset = Field(description="As in the option `preset`.")
    description: str
    sets: dict[str, Any] = Field(description="Options and their values.")


class Formats(BaseModel):
    inputs: list[Input]
    outputs: list[Output]
    presets: list[PresetOptions]


@api.get("/v1/formats", summary="Look what is taken and what is made", responses={200: Formats})
def get_formats() -> dict[str, Any]:
    return Formats(
        inputs=[Input(extension=row.extension, description=row.description) for row in INPUTS],
        outputs=[_output(name) for name in OUTPUTS],
        presets=[PresetOptions(name=name, description=use, sets=dict(PRESETS[name])) for name, use in USES.items()],
    ).model_dump(mode="json")


def _output(name: AudioFormat) -> Output:
    row = OUTPUTS[name]
    return Output(
        name=name,
        extension=row.extension,
        type=row.media_type,
        description=row.description,
        options=list(SIZES[name]),
    )
