"""Any OpenAI-compatible endpoint, through the client that OpenAI maintains.

The client waits and tries again after 408, 409, 429 and server errors, as long as the server asks
for where it says so. https://github.com/openai/openai-python
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from geobridge.onboard.errors import ConfigError, DataError

from ..config_captions import Captions
from ..sources.polite import key_of


@dataclass(frozen=True)
class Answer:
    """A text, the tokens that were counted for it, and who says to have written it."""

    text: str
    input_tokens: int
    output_tokens: int
    model: str


class Endpoint:
    """Asks, no faster than allowed however many threads ask.

    Raises:
        ConfigError: no model is named, the key is not in the environment, or the client is not
            installed.
    """

    def __init__(self, rule: Captions) -> None:
        try:
            import openai
        except ImportError:
            raise ConfigError(
                'captions.kind "model": openai is absent: pip install "geobridge-uav[captions]"'
            ) from None
        if not rule.model:
            raise ConfigError("captions.model: expected the name of a model")
        key = key_of(rule.key_env, "captions") if rule.key_env else "none"
        self._openai, self._rule = openai, rule
        self._client = openai.OpenAI(
            base_url=rule.base_url,
            api_key=key,
            timeout=rule.timeout_s,
            max_retries=rule.retries,
        )
        self._lock, self._next_s = threading.Lock(), 0.0

    def ask(self, messages: list[dict[str, Any]]) -> Answer:
        """One answer.

        Raises:
            DataError: the endpoint refuses, cannot be reached, or answers no completion.
        """
        self._pace()
        where = f"captions: {self._rule.base_url}"
        try:
            done = self._client.chat.completions.create(
                model=self._rule.model,
                messages=messages,  # type: ignore[arg-type]
                max_tokens=self._rule.max_tokens,
                temperature=self._rule.temperature,
            )
        except self._openai.APIStatusError as error:
            told = " ".join(str(error.message).split())[:200]
            raise DataError(f"{where}: answers {error.status_code}: {told}") from None
        except self._openai.APIConnectionError as error:  # time-outs too
            why = error.__cause__ or error
            raise DataError(f"{where}: {why or type(why).__name__}; run again later") from None
        except (self._openai.OpenAIError, ValueError) as error:
            told = " ".join(str(error).split())[:200]
            raise DataError(f"{where}: no completion in its answer: {told}") from None
        return _answer(done, where)

    def close(self) -> None:
        """Its connections."""
        self._client.close()

    def _pace(self) -> None:
        with self._lock:
            due_s = max(self._next_s, time.monotonic())
            self._next_s = due_s + 60.0 / self._rule.rate_per_min
        time.sleep(max(0.0, due_s - time.monotonic()))


def _answer(done: Any, where: str) -> Answer:
    choices = getattr(done, "choices", None)
    if not choices or getattr(choices[0], "message", None) is None:
        raise DataError(f"{where}: no completion in its answer")
    message, usage = choices[0].message, getattr(done, "usage", None)
    text = " ".join((message.content or getattr(message, "refusal", None) or "").split())
    return Answer(
        text,
        int(getattr(usage, "prompt_tokens", 0) or 0),
        int(getattr(usage, "completion_tokens", 0) or 0),
        str(getattr(done, "model", "") or ""),
    )
