"""The converter's worker: `python -m converter`."""

from functools import partial

from converter import handlers
from pipeline.settings import Settings
from pipeline.wiring import run_worker


def main() -> None:
    settings = Settings.load("database_url", "blob_url", "queue_url")
    encode = partial(handlers.encode, bitrate_kbit=settings.audio_bitrate)
    run_worker("converter", {"extract": handlers.extract, "encode": encode}, settings)


if __name__ == "__main__":
    main()
