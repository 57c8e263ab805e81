"""What can go wrong with a speech service, in the pipeline's words: what can work later, and what never will."""

from collections.abc import Iterator
from contextlib import contextmanager

import openai
from pydantic import ValidationError

from pipeline.errors import Reject, Retry
from pipeline.retry_after import retry_after

_REJECTIONS = {
    401: "The speech service does not accept the key of this server. Please tell whoever runs it.",
    403: "The speech service does not let this server in. Please tell whoever runs it.",
    404: "The speech service does not have the model that this server asks for. Please tell whoever runs it.",
    413: "The recording is too long for the speech service.",
}
_UNREADABLE = "The speech service could not read this recording."
_NO_LANGUAGE = "The speech service does not know the language that was asked for."
_BUSY = "The speech service is busy or out of order."
_EMPTY_PURSE = "The speech service says that this server's account is used up. Please tell whoever runs it."
NONSENSE = "The speech service gave an answer that makes no sense."
_AWAY = "The speech service cannot be reached."
SLOW = "The speech service took too long."

_TEMPORARY = {408, 409, 425, 429}
_TOO_LONG = ("longer than", "too long", "too large", "maximum content size")


class Untaken(Retry):
    """The service had no room for the call or was not reached: it heard nothing, and nothing is to be paid."""


@contextmanager
def translated(patience: float) -> Iterator[None]:
    """Raises Retry or Reject for what the `openai` SDK raises; `patience`: the most seconds that a service may ask us to stay away."""
    try:
        yield
    except openai.APIStatusError as error:
        raise _judged(error, patience) from error
    except openai.APITimeoutError as error:
        raise Retry(SLOW) from error
    except openai.APIConnectionError as error:
        raise Retry(_AWAY) from error
    except (ValidationError, openai.OpenAIError) as error:
        raise Retry(NONSENSE) from error


def _judged(error: openai.APIStatusError, patience: float) -> Retry | Reject:
    status = error.status_code
    if status in _TEMPORARY or not 400 <= status < 500:
        told = error.response.headers.get("Retry-After")
        untaken = status == 429 or (status == 503 and told)
        reason = _EMPTY_PURSE if error.code == "insufficient_quota" else _BUSY
        return (Untaken if untaken else Retry)(reason, retry_after(told, patience))
    return Reject(_refusal(error))


def _refusal(error: openai.APIStatusError) -> str:
    if error.status_code != 400:
        return _REJECTIONS.get(error.status_code, _UNREADABLE)
    if str(error.param).startswith("language"):
        return _NO_LANGUAGE
    return _REJECTIONS[413] if any(sign in error.message.lower() for sign in _TOO_LONG) else _UNREADABLE
