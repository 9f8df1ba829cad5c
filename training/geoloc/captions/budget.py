"""What captions may cost: said before the first is asked for, and kept to."""

from __future__ import annotations

import logging
import threading
import time

from geobridge.onboard.errors import DataError

from ..config_captions import Captions

log = logging.getLogger(__name__)

_TELL_S = 20.0
PER_MILLION = 1e-6


class Budget:
    """Counts tokens and money; counts what was spent in earlier runs too.

    Args:
        rule: prices and limits.
        input_tokens, output_tokens: spent so far.
    """

    def __init__(self, rule: Captions, input_tokens: int = 0, output_tokens: int = 0) -> None:
        self._rule = rule
        self.input_tokens, self.output_tokens, self.answers = input_tokens, output_tokens, 0
        self._lock, self._told_s = threading.Lock(), time.monotonic()

    @property
    def money(self) -> float:
        """Spent so far."""
        return self.price(self.input_tokens, self.output_tokens)

    def price(self, input_tokens: float, output_tokens: float) -> float:
        """Of so many tokens."""
        paid = input_tokens * self._rule.input_price + output_tokens * self._rule.output_price
        return PER_MILLION * paid

    def announce(self, requests: int) -> None:
        """Say what so many requests will cost.

        Raises:
            DataError: more than is left.
        """
        tokens_in = requests * self._rule.expected_input_tokens
        tokens_out = requests * self._rule.max_tokens // 2
        money = self.price(tokens_in, tokens_out)
        log.info(
            "captions: %d requests, about %d tokens and %.2f in money, %.0f min or more;"
            " spent so far: %d tokens, %.2f",
            requests,
            tokens_in + tokens_out,
            money,
            requests / self._rule.rate_per_min,
            self.input_tokens + self.output_tokens,
            self.money,
        )
        self._check(tokens_in + tokens_out, money, "would cost about")

    def require_left(self) -> None:
        """See that there is something left for another request.

        Raises:
            DataError: nothing is.
        """
        with self._lock:
            self._check(self._rule.expected_input_tokens, 0.0, "have cost")

    def spend(self, input_tokens: int, output_tokens: int) -> None:
        """Count an answer, and say now and then how far it is."""
        with self._lock:
            self.input_tokens += input_tokens
            self.output_tokens += output_tokens
            self.answers += 1
            if time.monotonic() - self._told_s >= _TELL_S:
                self._told_s = time.monotonic()
                tokens = self.input_tokens + self.output_tokens
                log.info("captions: %d answers, %d tokens, %.2f", self.answers, tokens, self.money)

    def _check(self, tokens: int, money: float, how: str) -> None:
        all_tokens = self.input_tokens + self.output_tokens + tokens
        all_money = self.money + money
        limit = self._rule.budget
        if limit is not None and (all_money > limit or self.money >= limit):
            raise DataError(
                f"captions {how} {all_money:.2f}, captions.budget is {limit:g};"
                " what was written is kept"
            )
        most = self._rule.budget_tokens
        if most is not None and all_tokens > most:
            raise DataError(
                f"captions {how} {all_tokens} tokens, captions.budget_tokens is {most};"
                " what was written is kept"
            )
