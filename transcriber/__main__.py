"""`python -m transcriber`: a worker that makes transcripts."""

from functools import partial

import openai

from pipeline import wiring
from pipeline.settings import Settings
from transcriber.handler import transcribe


def main() -> None:
    settings = Settings.load("database_url", "blob_url", "queue_url", "speech_url")
    # A service of one's own may ask for no key; the SDK insists on one.
    key = settings.speech_key.get_secret_value() if settings.speech_key else "none"
    client = openai.OpenAI(base_url=settings.speech_url, api_key=key)
    handler = partial(transcribe, client=client, model=settings.speech_model)
    wiring.run_worker("transcriber", settings, wiring.engine(settings), {"transcribe": handler})


if __name__ == "__main__":
    main()
