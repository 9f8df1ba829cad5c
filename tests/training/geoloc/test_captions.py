"""Captions through a server that speaks OpenAI's chat completions, well and badly."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai")
pytest.importorskip("open_clip")

from geobridge.onboard.errors import ConfigError, DataError
from geobridge.training.geoloc.build import build
from geobridge.training.geoloc.captions.checks import count_tokens, problems

from .stub import Stub

GOOD = "Rows of houses beside a river, with a road along its bank and gardens between the houses."
Reply = tuple[int, dict[str, str], bytes]


def completion(text: str | None, tokens: tuple[int, int] = (900, 30), **message: Any) -> Reply:
    answer = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "stub-vlm-1",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": text, **message}}],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1],
                  "total_tokens": sum(tokens)},
    }  # fmt: skip
    return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()


def whole(**more: Any) -> Reply:
    """A completion with other things in the place of its own."""
    tree = json.loads(completion(GOOD)[2]) | more
    return 200, {"Content-Type": "application/json"}, json.dumps(tree).encode()


def failure(status: int, message: str, **headers: str) -> Reply:
    body = json.dumps({"error": {"message": message, "type": "x", "param": None, "code": None}})
    return status, {"Content-Type": "application/json", **headers}, body.encode()


@pytest.fixture
def told(region: Path, stub: Stub) -> Callable[..., list[str]]:
    """Overrides that ask the stub."""

    def overrides(**more: object) -> list[str]:
        keys = {
            "kind": '"model"', "model": '"stub-vlm"', "base_url": f'"{stub.url}/v1"',
            "rate_per_min": 6000.0, "asks": 2, "timeout_s": 2.0, "retries": 2,
            "expected_input_tokens": 1000,
        }  # fmt: skip
        return [f"captions.{key}={value}" for key, value in (keys | more).items()]

    return overrides


def texts(folder: Path) -> dict[str, Any]:
    lines = (folder / "set" / "texts.jsonl").read_text().splitlines()
    return {line["id"]: line for line in map(json.loads, lines)}


def asked_for(body: bytes) -> list[dict[str, Any]]:
    tree = json.loads(body)
    assert tree["model"] == "stub-vlm"
    messages: list[dict[str, Any]] = tree["messages"]
    return messages


def test_every_place_is_asked_for_once_with_three_pictures(
    region: Path, stub: Stub, told: Callable[..., list[str]]
) -> None:
    bodies = []

    def answer(path: str, body: bytes) -> Reply:
        assert path == "/v1/chat/completions"
        bodies.append(asked_for(body))
        return completion(GOOD)

    stub.answer = answer
    counts = build(region / "build.toml", told())
    assert len(bodies) == counts["through the gates"] == 15
    urls = [p["image_url"]["url"] for p in bodies[0][1]["content"] if p["type"] == "image_url"]
    assert len(urls) == 3
    assert all(url.startswith("data:image/jpeg;base64,") for url in urls)
    for line in texts(region).values():
        assert line["texts"] == [GOOD]
        assert line["origin"] == [
            {"kind": "model", "model": "stub-vlm-1", "asked": 1, "tokens": 930}
        ]
    build(region / "build.toml", told(budget=9.0))  # another budget asks nothing again
    assert len(bodies) == 15


def test_two_texts_for_each_place(region: Path, stub: Stub, told: Callable[..., list[str]]) -> None:
    other = "A road along the bank of a river, and houses with gardens in rows behind it."

    def answer(_: str, body: bytes) -> Reply:
        return completion(other if "at its edge" in body.decode() else GOOD)

    stub.answer = answer
    build(region / "build.toml", told(per_place=2))
    assert all(line["texts"] == [GOOD, other] for line in texts(region).values())


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ("I'm sorry, but I can't help with that.", "refusal"),
        (None, "0 words"),
        ("A drone image of houses beside a river with a road.", "speaks of the pictures"),
        ("Houses beside a river with parked cars along the road.", "names what will pass"),
        ("Houses beside a railway with a road along the river.", "the map has no railway"),
        ("Des maisons le long de la rivière, avec une route et des jardins.", "not English"),
        (" ".join(["a road beside a river and houses"] * 20), "too long"),
        ("asdf qwer zxcv uiop hjkl bnmq werty", "not English"),
        (f"{GOOD[:-1]} \ud800.", "not one plain paragraph"),
        (f"{GOOD[:-1]} \0.", "not one plain paragraph"),
    ],
)
def test_what_is_wrong_is_told_and_asked_for_again(
    region: Path, stub: Stub, told: Callable[..., list[str]], bad: str | None, complaint: str
) -> None:
    told_back = []

    def answer(_: str, body: bytes) -> Reply:
        messages = asked_for(body)
        if len(messages) == 2:
            return completion(bad)
        told_back.append(messages[-1]["content"])
        return completion(GOOD)

    stub.answer = answer
    build(region / "build.toml", [*told(), "crops.scales_m=[180.0]", "crops.overlap=0.0"])
    assert all(complaint in each for each in told_back)
    assert {line["origin"][0]["asked"] for line in texts(region).values()} == {2}


def test_who_never_answers_well_leaves_places_without_texts(
    region: Path, stub: Stub, told: Callable[..., list[str]]
) -> None:
    stub.answer = lambda *_: completion(None, refusal="I cannot describe places.")
    build(region / "build.toml", told())
    assert all(line["texts"] == [] for line in texts(region).values())
    assert len(stub.asked) == 2 * 15


def test_errors_and_slow_answers_are_waited_for(
    region: Path, stub: Stub, told: Callable[..., list[str]]
) -> None:
    trouble = [
        failure(429, "slow down", **{"Retry-After": "0"}),
        failure(500, "oops"),
        (503, {}, b"<html>busy</html>"),
    ]

    def answer(*_: object) -> Reply:
        if len(stub.asked) == 5:
            time.sleep(2.5)  # longer than its time-out
        return trouble.pop() if trouble else completion(GOOD)

    stub.answer = answer
    build(region / "build.toml", told(at_once=1, retries=4))
    assert all(line["texts"] == [GOOD] for line in texts(region).values())


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (failure(401, "Incorrect API key provided"), "answers 401: .*Incorrect API key"),
        (failure(429, "You exceeded your quota", **{"Retry-After": "0"}), "answers 429: .*quota"),
        ((200, {"Content-Type": "application/json"}, b"{}"), "no completion in its answer"),
        ((200, {"Content-Type": "text/html"}, b"<html>hello"), "no completion in its answer"),
        ((200, {"Content-Type": "application/json"}, b'{"cho'), "no completion in its answer"),
        ((200, {"Content-Type": "application/json"}, b"[" * 9000), "no completion in its answer"),
        (whole(choices={"a": 1}), "no completion in its answer, found '"),
        (whole(choices=[{"message": "hello"}]), "no completion in its answer"),
        (completion(["a", "list"]), "no completion in its answer"),
    ],
)
def test_a_server_that_cannot_be_used_is_one_line(
    region: Path, stub: Stub, told: Callable[..., list[str]], reply: Reply, complaint: str
) -> None:
    stub.answer = lambda *_: reply
    with pytest.raises(DataError, match=complaint):
        build(region / "build.toml", told(retries=1))


def test_the_budget_is_kept_and_what_was_paid_for_is_not_paid_for_again(
    region: Path, stub: Stub, told: Callable[..., list[str]]
) -> None:
    stub.answer = lambda *_: completion(GOOD, tokens=(2000, 40))
    prices = {"input_price": 1000.0, "output_price": 1000.0, "at_once": 1}
    with pytest.raises(DataError, match=r"would cost about .* captions.budget is 10"):
        build(region / "build.toml", told(budget=10.0, **prices))
    assert stub.asked == []
    # it costs more than was expected, and stops on the way
    with pytest.raises(DataError, match=r"have cost .* what was written is kept"):
        build(region / "build.toml", told(budget=17.0, **prices))
    paid = len(stub.asked)
    assert 8 <= paid <= 9
    build(region / "build.toml", told(budget=50.0, **prices))
    assert len(stub.asked) == 15


@pytest.mark.parametrize("usage", [None, "lots", {"prompt_tokens": "many"}, {"prompt_tokens": -5}])
def test_what_is_not_counted_counts_as_it_was_expected(
    region: Path, stub: Stub, told: Callable[..., list[str]], usage: Any
) -> None:
    """A request is expected to take 1000 tokens and to give 100, and may give 200."""
    stub.answer = lambda *_: whole(usage=usage)
    with pytest.raises(DataError, match=r"captions\.budget_tokens is 17000"):
        build(region / "build.toml", told(budget_tokens=17_000, max_tokens=200, at_once=1))
    assert len(stub.asked) == 14


def test_a_dry_run_asks_nobody(region: Path, stub: Stub, told: Callable[..., list[str]]) -> None:
    counts = build(region / "build.toml", told(), dry_run=True)
    assert stub.asked == []
    assert "dry run" in counts
    assert not (region / "set").exists()


def test_a_model_must_be_named_and_its_key_be_there(
    region: Path, told: Callable[..., list[str]]
) -> None:
    with pytest.raises(ConfigError, match=r"captions\.model"):
        build(region / "build.toml", told(model='""'))
    with pytest.raises(ConfigError, match="NO_SUCH_KEY holds no key"):
        build(region / "build.toml", told(key_env='"NO_SUCH_KEY"'))


def test_checks_let_good_texts_pass_and_know_what_a_map_bears_out() -> None:
    assert problems(GOOD, {"river", "houses"}) == []
    assert problems(GOOD) == []
    assert problems(GOOD, {"houses"}) == ["the map has no river there"]
    assert (
        problems("Houses with gardens along a road and no river or lake near it.", {"houses"}) == []
    )
    assert count_tokens(GOOD) == 21
