"""Everything that can be set, read once from the environment."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings of all services. A service names those it cannot do without when it calls `load`."""

    model_config = SettingsConfigDict(env_prefix="SPOOL_", frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: str | None = Field(
        None,
        description="The catalog of jobs: `mysql+mysqldb://user:password@host/spool` or `sqlite:////path/catalog.db`.",
    )
    auth_database_url: str | None = Field(
        None, description="The users: same forms as the catalog's, a database of its own. Only auth knows it."
    )
    blob_url: str | None = Field(
        None, description="Where bytes are kept: `mongodb://user:password@host/spool` (GridFS) or `file:///path`."
    )
    queue_url: str | None = Field(
        None, description="The broker: `amqp://user:password@host/vhost`, or `memory://` inside one process."
    )
    mail_url: str | None = Field(
        None,
        description="How mail leaves: `smtp://user:password@host:587?tls=starttls`, `smtps://...:465`, or `file:///folder` for a folder of .eml files.",
    )
    mail_from: str = Field("Spool <spool@localhost>", description="The sender of mails.")
    public_url: str | None = Field(
        None,
        description="The gateway's address as people reach it, for example `https://spool.example.org`; links begin with it.",
    )

    digest_jobs: int = Field(
        10,
        ge=1,
        description="Where a user starts more jobs than this at once, one mail tells of all of them together.",
    )
    digest_seconds: float = Field(
        60, ge=0, description="How far apart jobs may be started, in seconds, and still count as started at once."
    )
    digest_wait_seconds: float = Field(
        3600,
        ge=0,
        description="How long, in seconds, a mail waits at most for jobs that are to be told of with its own.",
    )

    auth_url: str | None = Field(None, description="Where the gateway reaches auth, for example `http://auth:8000`.")
    signing_keys: Path | None = Field(
        None,
        description="A PEM file of Ed25519 private keys. The first signs tokens; all of them are published, so that keys can be rotated.",
    )
    token_seconds: int = Field(900, gt=0, description="How long a sign-in token is good for.")
    link_keys: SecretStr | None = Field(
        None,
        description="Secrets that sign links, separated by spaces, 32 characters or more each. The last one signs; older ones are still accepted.",
    )
    link_days: int = Field(7, gt=0, description="How many days a link is good for, unless who makes it says otherwise.")

    secret_keys: SecretStr | None = Field(
        None,
        description="Keys that seal what the catalog keeps of connected accounts and webhooks, separated by spaces, as `openssl rand -base64 32 | tr +/ -_` makes them. The last one seals; older ones still open.",
    )
    dropbox_app_key: str | None = Field(None, description="The key of your app in Dropbox's app console.")
    dropbox_app_secret: SecretStr | None = Field(
        None, description="Its secret; the gateway checks by it that news come from Dropbox."
    )
    dropbox_webhook: bool = Field(
        False, description="Whether Dropbox's webhook reaches the gateway; sync/ waits for news itself if it does not."
    )
    dropbox_sweep_seconds: float = Field(
        900, gt=0, description="How often a connected Dropbox is looked through, whether there was news of it or not."
    )
    dropbox_settle_seconds: float = Field(
        60, ge=0, description="How long a file must not have changed in Dropbox before it is taken for whole."
    )
    dropbox_in_flight: int = Field(
        4, ge=1, le=64, description="For news of how many folders one sync worker waits at a time."
    )

    upload_limit: int = Field(20 * 2**30, gt=0, description="The largest upload, in bytes.")
    upload_hours: float = Field(
        24, gt=0, description="How long an unfinished resumable upload is kept after its last byte came."
    )
    free_bytes: int = Field(
        2**30, ge=0, description="Room that stays free in the blob store: uploads that would take it get 507."
    )
    cors_origins: str = Field(
        "", description="Origins whose pages may use the API from a browser, separated by spaces, or `*` for all."
    )
    quota_stored_bytes: int | None = Field(None, gt=0, description="Bytes that each user may keep; no limit if unset.")
    quota_day_bytes: int | None = Field(
        None, gt=0, description="Bytes that each user may upload a day (UTC); no limit if unset."
    )
    quota_jobs: int | None = Field(
        None, gt=0, description="Jobs of each user that may be unfinished at a time; no limit if unset."
    )
    quota_month_minutes: int | None = Field(
        None,
        gt=0,
        description="Minutes of recordings that each user may have worked on a month (UTC); no limit if unset.",
    )
    quota_day_mails: int | None = Field(
        100, gt=0, description="Mails a day (UTC) that each user's jobs may send to others than that user."
    )
    quota_day_speech_minutes: int | None = Field(
        None,
        gt=0,
        description="Minutes of audio that each user may have sent to a speech service a day (UTC); no limit if unset.",
    )
    keep_original_days: int | None = Field(
        None, gt=0, description="After how many days the uploaded file of a finished job is removed; never if unset."
    )
    keep_result_days: int | None = Field(
        None, gt=0, description="After how many days a finished job is removed with all it made; never if unset."
    )
    fetch_seconds: float = Field(3600, gt=0, description="How long fetching a recording by its address may take.")
    fetch_networks: str = Field(
        "",
        description="Networks that recordings may be fetched from, and webhooks called in, beside the public internet, separated by spaces, for example `10.1.0.0/16`.",
    )
    stall_seconds: float = Field(
        30, gt=0, description="How long a client may be silent in the middle of a request or a download."
    )
    speech_url: str | None = Field(
        None,
        description="An OpenAI-shaped endpoint, for example `http://speech:8000/v1` or `https://api.openai.com/v1`.",
    )
    speech_key: SecretStr | None = Field(None, description="The key that endpoint asks for.")
    speech_model: str = Field(
        "tiny.en",
        description="The model asked for. speech/ itself serves it: `tiny.en` or `base` from their packages, or a folder that holds a CTranslate2 model. Gateway, transcriber and speech/ have to agree on it.",
    )
    speech_models: str = Field(
        "",
        description="Further models that a job may ask for instead, separated by spaces, for example `base /models/my-model`; speech/ serves them too.",
    )
    speech_cache: Path | None = Field(
        None, description="Where speech/ joins models that come in pieces; `~/.cache/spool` if unset."
    )
    speech_idle_seconds: float = Field(
        0,
        ge=0,
        allow_inf_nan=False,
        description="After how long speech/ takes an unused model out of memory; 0 for never.",
    )
    speech_waiting: int = Field(8, ge=0, description="How many requests may wait in speech/; the next one gets 429.")
    speech_waiting_seconds: float = Field(
        900, gt=0, allow_inf_nan=False, description="How long each of them may wait, before it gets 429 too."
    )
    speech_piper: Path | None = Field(
        None,
        description="The Python of an environment that has Piper, with which speech/ speaks; it does not if unset.",
    )
    speech_voices: Path | None = Field(
        None, description="A folder with Piper's voices: `NAME.onnx` and `NAME.onnx.json`."
    )
    speech_in_flight: int = Field(
        2, ge=1, le=64, description="How many parts of recordings one transcriber has at the speech service at a time."
    )
    audio_bitrate: int = Field(128, ge=8, le=320, description="Bit rate of MP3s, in kbit/s.")
    part_minutes: float = Field(
        5,
        gt=0,
        allow_inf_nan=False,
        description="The least audio, in minutes, that one part of a long MP3 holds; parts are encoded by several converters at once.",
    )
    most_parts: int = Field(
        16, ge=1, le=999, description="The most parts that one long MP3 is encoded in; 1 for one piece."
    )

    scratch: Path | None = Field(
        None, description="Where tasks make their temporary folders; the system's own place if unset."
    )
    lease_seconds: float = Field(30, gt=0, description="How long a worker that says nothing keeps its task.")
    grace_seconds: float = Field(
        20, gt=0, description="How long a worker that is told to stop may take to hand its task back."
    )
    sweep_seconds: float = Field(5, gt=0, description="How often lost and due tasks are looked for.")
    lost_seconds: float = Field(60, gt=0, description="After how long a message that nobody took is sent again.")
    patience_seconds: float = Field(86400, gt=0, description="How long a task is tried again before its job fails.")
    janitor_hours: float = Field(
        6, gt=0, description="How old bytes that no job names must be before they are removed."
    )

    metrics_port: int = Field(
        0, ge=0, le=65535, description="Where a worker serves /metrics, /healthz and /readyz; 0 for nowhere."
    )
    log_format: str = Field("json", pattern="^(json|text)$", description="`json` for machines or `text` for people.")

    @classmethod
    def load(cls, *required: str) -> Self:
        """Reads the environment. Raises SystemExit with one line a mistake if a value is wrong or one of `required` is missing."""
        try:
            settings = cls()
        except ValidationError as error:
            raise SystemExit(
                "\n".join(f"SPOOL_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
            ) from None
        missing = [
            f"SPOOL_{name.upper()} is not set. {cls.model_fields[name].description}"
            for name in required
            if getattr(settings, name) is None
        ]
        if missing:
            raise SystemExit("\n".join(missing))
        return settings


def table() -> str:
    """All settings as a table in Markdown."""
    rows = [
        f"| `SPOOL_{name.upper()}` | {_shown(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | what it does |", "|---|---|---|", *rows]) + "\n"


def _shown(default: object) -> str:
    return "" if default is None else f"`{default}`"
