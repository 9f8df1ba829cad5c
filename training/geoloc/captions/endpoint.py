"""Any OpenAI-compatible endpoint, through the client that OpenAI maintains.

The client waits and tries again after 408, 409, 429 and server errors, as long as the server asks
for where it says so. https://github.com/openai/openai-python
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import Any

from geobridge.onboard.errors import ConfigError, DataError

from ..config_captions import Captions
from ..sources.polite import begin, key_of


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
        ConfigError: the key is not in the environment, or the client is not
            installed.
    """

    def __init__(self, rule: Captions) -> None:
        try:
            import openai
        except ImportError:
            raise ConfigError(
                'captions.kind "model": openai is absent: pip install "geobridge-uav[captions]"'
            ) from None
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
            answered = self._client.chat.completions.with_raw_response.create(
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
        return _answer(answered.content, self._rule, where)

    def close(self) -> None:
        """Its connections."""
        self._client.close()

    def _pace(self) -> None:
        with self._lock:
            due_s = max(self._next_s, time.monotonic())
            self._next_s = due_s + 60.0 / self._rule.rate_per_min
        time.sleep(max(0.0, due_s - time.monotonic()))


def _answer(raw: bytes, rule: Captions, where: str) -> Answer:
    """Read by ourselves: the client hands on whatever a server puts in the place of a text. One
    that does not count tokens is taken to have used as many as were expected, and all it may."""
    try:
        tree = json.loads(raw)
        message = tree["choices"][0]["message"]
        text = message.get("content") or message.get("refusal") or ""
        # half a character, as of an answer that was cut, cannot be sent back
        words = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").split()
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise DataError(f"{where}: no completion in its answer, found {begin(raw)}") from None
    usage = tree.get("usage")
    return Answer(
        " ".join(words),
        _count(usage, "prompt_tokens", rule.expected_input_tokens),
        _count(usage, "completion_tokens", rule.max_tokens),
        str(tree.get("model") or ""),
    )


def _count(usage: Any, key: str, expected: int) -> int:
    told = usage.get(key) if isinstance(usage, dict) else None
    return told if isinstance(told, int) and told >= 0 else expected
