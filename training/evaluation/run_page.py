"""The page of a run: what it finds, how it learned, what it was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from geobridge.onboard import durable

from ..checkpoint import BEST
from ..config import TrainConfig
from ..runs.journal import METRICS
from ..runs.run_folder import CONFIG, UNREADABLE
from ..runs.snapshot import as_toml
from .curves import Row, draw, read_rows
from .directions import Table, with_guesses
from .page import document, picture, table
from .selection import VALIDATION

PAGE = "report.html"
_SHARES = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "r1_percent": "R@1 %", "ap": "AP"}
_MAP = {
    "queries": "rendered views",
    "tiles": "tiles of the map",
    "r1_within_50_m": "first candidate within 50 m",
    "r5_within_25_m": "one of five candidates within 25 m",
}
_BESIDE = {
    f"{BEST}/": "the checkpoint that did best on the validation split",
    CONFIG: "the configuration below",
    METRICS: "figures of the steps",
    VALIDATION: "tables of the validation split",
    UNREADABLE: "pictures that could not be read",
}


def write_page(run: Path, settings: TrainConfig, figures: Table | dict[str, float] | None) -> Path:
    """Write `PAGE` into a run's folder from the figures of its report and what it wrote on its way.

    Args:
        run: its folder.
        settings: of the run.
        figures: the directions of the test split, what `evaluate_area` gave, or None.
    """
    metrics, validation = read_rows(run / METRICS), read_rows(run / VALIDATION)
    name = run.resolve().name
    body = f"""<h1>Training run {escape(name)}</h1>
<p>{escape(_what(settings, metrics))}</p>
<h2>What it finds</h2>
{_found(figures)}
<p>{escape(_weights(settings, metrics, validation))}</p>
<h2>How it learned</h2>
{_curves(metrics, validation)}
<h2>What lies beside this page</h2>
{table(["", ""], [(told, there) for there, told in _BESIDE.items() if (run / there).exists()])}
<h2>Configuration</h2>
<pre>{escape(as_toml(settings))}</pre>"""
    return durable.write_text(run / PAGE, document(f"Training run {name}", body))


def _what(settings: TrainConfig, metrics: Sequence[Row]) -> str:
    model, optim = settings.model, settings.optim
    towers = [*model.views, *(["text"] if model.text_tower else [])]
    steps = f"{metrics[-1]['step']} steps" if metrics else "Steps"
    return (
        f"{steps}, each of {optim.batch_size * optim.accumulate} places in every process,"
        f" in {optim.precision}; model {model.name} with towers for {', '.join(towers)}."
    )


def _weights(settings: TrainConfig, metrics: Sequence[Row], validation: Sequence[Row]) -> str:
    if not validation:
        last = f", step {metrics[-1]['step']}" if metrics else ""
        return f"Measured with the last weights{last}: nothing was validated on the way."
    best = max(validation, key=lambda row: float(row["r1"]))
    return (
        f"Measured with the weights of step {best['step']}, the best on the split"
        f" {settings.evaluation.split}: R@1 {100 * best['r1']:.1f} % in the mean of its directions."
        " The test split had no part in the choice."
    )


def _found(figures: Table | Mapping[str, float] | None) -> str:
    if figures is None:
        return "<p>The data have no test split: nothing was measured.</p>"
    if isinstance(figures, Mapping):
        told = [(_MAP[name], _share_or_count(value)) for name, value in figures.items()]
        return (
            table(["", ""], told)
            + "<p>New renderings of the area that it was trained on, looked for on the whole map:"
            " that it fits, not how it will fly.</p>"
        )
    rows = [_direction(row) for row in with_guesses(figures)]
    return (
        table(["from, to", "places", *_SHARES.values()], rows[: len(figures)], rows[len(figures) :])
        + "<p>Every place of the test split is looked for among all that have both sides; it alone"
        " is the right answer, be another one beside it ever so alike. R@k: how often it is among"
        " the first k; AP: University-1652's average precision.</p>"
    )


def _direction(row: Row) -> tuple[str, ...]:
    shares = (f"{100 * row[key]:.1f} %" for key in _SHARES)
    return row["direction"], "" if row["queries"] is None else str(row["queries"]), *shares


def _share_or_count(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{100 * value:.1f} %"


def _curves(metrics: Sequence[Row], validation: Sequence[Row]) -> str:
    if not metrics:
        return f"<p>No {METRICS} is there to draw.</p>"
    try:
        png = draw(metrics, validation)
    except ImportError:
        return '<p>No curves: they need matplotlib, pip install "geobridge-uav[replay]".</p>'
    told = "The objective is the weighted mean of the image edges plus that of the text edges."
    if validation:
        told += (
            " On validation: the mean of all directions, thin in the colour of their edge each of"
            " them, dotted what guessing gives."
        )
    shown = picture(png, "png", "Loss, share matched, validation, learning rate, gradient norm")
    return f"{shown}\n<p>{told}</p>"
