from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from geobridge.training.config import ObjectiveConfig
from geobridge.training.losses import Loss, NothingToCompareError, geobridge_loss

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SCALE, DIMENSION = 7.0, 5
SIDES = ("drone", "satellite", "street", "text")
IMAGE = (("drone", "satellite"), ("satellite", "street"), ("street", "drone"))
TEXT = (("text", "drone"), ("text", "satellite"), ("text", "street"))


@dataclass(frozen=True)
class Case:
    """A batch and an objective, in numpy."""

    sides: dict[str, Array]
    present: dict[str, Mask]
    relation: npt.NDArray[np.int8]
    scale: float = SCALE
    nested: tuple[int, ...] = ()
    objective: ObjectiveConfig = field(default_factory=lambda: ObjectiveConfig(label_smoothing=0.0))

    @property
    def count(self) -> int:
        return len(self.relation)


# The loss and its gradient from the formulas, by hand.


def one_way(a: Array, b: Array, both: Mask, case: Case) -> tuple[float, Array, Array, float]:
    """The loss of the rows of `a` against `b`, and its slopes by a, b and the scale."""
    products, loss, slope = a @ b.T, 0.0, np.zeros((case.count, case.count))
    eps, rows = case.objective.label_smoothing, np.flatnonzero(both)
    for i in rows:
        positives = [j for j in rows if case.relation[i, j] == 1]
        negatives = [j for j in rows if case.relation[i, j] == 0]
        for p in positives:
            classes = np.array([p, *negatives])
            shares = np.exp(case.scale * products[i, classes])
            shares /= shares.sum()
            target = np.full(len(classes), eps / len(classes))
            target[0] += 1.0 - eps
            weight = 1.0 / (len(rows) * len(positives))
            loss -= weight * float(target @ np.log(shares))
            slope[i, classes] += weight * (shares - target)
    by_scale = float((slope * products).sum())
    return loss, case.scale * slope @ b, case.scale * slope.T @ a, by_scale


def derived_whole(case: Case) -> tuple[float, dict[str, Array], float, dict[str, float]]:
    """Total, its slopes by descriptor and by scale, and the edges."""
    slopes = {side: np.zeros_like(values) for side, values in case.sides.items()}
    total, by_scale, edges = 0.0, 0.0, {}
    goal, by_edge = case.objective, dict[str, float](case.objective.edge_weights)
    for kind, kind_weight in ((IMAGE, goal.image_weight), (TEXT, goal.text_weight)):
        both = {(a, b): case.present[a] & case.present[b] for a, b in kind}
        weights = {e: by_edge.get("-".join(e), 1.0) for e in kind if both[e].sum() > 1}
        for (a, b), weight in weights.items():
            ways = [(a, b), (b, a)] if goal.form == "symmetric" else [(a, b)]
            factor = kind_weight * weight / (sum(weights.values()) or 1.0)
            if factor == 0:
                continue
            edges[f"{a}-{b}"] = 0.0
            for x, y in ways:
                loss, by_x, by_y, by_s = one_way(case.sides[x], case.sides[y], both[a, b], case)
                edges[f"{a}-{b}"] += loss / len(ways)
                total += factor * loss / len(ways)
                slopes[x] += factor * by_x / len(ways)
                slopes[y] += factor * by_y / len(ways)
                by_scale += factor * by_s / len(ways)
    return total, slopes, by_scale, edges


def derived(case: Case) -> tuple[float, dict[str, Array], float, dict[str, float]]:
    """The same with the first numbers of every descriptor, renormalised, on a par."""
    total, slopes, by_scale, edges = derived_whole(case)
    for dims in case.nested:
        norms = {s: np.linalg.norm(v[:, :dims], axis=1)[:, None] for s, v in case.sides.items()}
        units = {side: v[:, :dims] / norms[side] for side, v in case.sides.items()}
        short = derived_whole(replace(case, sides=units))
        total, by_scale = total + short[0], by_scale + short[2]
        for side, unit in units.items():
            along = (short[1][side] * unit).sum(axis=1, keepdims=True) * unit
            slopes[side][:, :dims] += (short[1][side] - along) / norms[side]
    parts = 1 + len(case.nested)
    shared = {side: slope / parts for side, slope in slopes.items()}
    return total / parts, shared, by_scale / parts, edges


# The implementation on the same case.


def compute(case: Case) -> tuple[Loss, dict[str, Array], float]:
    """The loss, and its slopes by descriptor and by scale."""
    sides = {side: torch.from_numpy(v).requires_grad_() for side, v in case.sides.items()}
    present = {side: torch.from_numpy(mask) for side, mask in case.present.items()}
    scale = torch.tensor(case.scale, dtype=torch.float64, requires_grad=True)
    relation = torch.from_numpy(case.relation)
    loss = geobridge_loss(
        sides, present, sides, present, relation, scale, case.objective, case.nested
    )
    *slopes, by_scale = torch.autograd.grad(loss.total, [*sides.values(), scale])
    return loss, dict(zip(sides, (s.numpy() for s in slopes), strict=True)), float(by_scale)


def case_of(count: int, seed: int = 0, **changes: object) -> Case:
    """Random unit descriptors; every place has every side and is kin of none."""
    vectors = np.random.default_rng(seed).normal(size=(len(SIDES), count, DIMENSION))
    units = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    sides = dict(zip(SIDES, units, strict=True))
    present = {side: np.ones(count, bool) for side in SIDES}
    return replace(Case(sides, present, np.eye(count, dtype=np.int8)), **changes)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Anything: missing sides, kin, weights, both forms, smoothing, nested descriptors."""
    count, seed = draw(st.integers(2, 7)), draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.choice([0, 0, 0, 1, -1], (count, count)), 1)
    there = draw(st.sampled_from([0.3, 0.7, 1.0]))
    weight = st.sampled_from([0.0, 0.5, 1.0, 3.0])
    edges = ["-".join(edge) for edge in IMAGE + TEXT]
    objective = ObjectiveConfig(
        form=draw(st.sampled_from(["symmetric", "directed"])),
        image_weight=draw(weight),
        text_weight=draw(weight),
        edge_weights={edge: draw(weight) for edge in rng.choice(edges, 2)},
        label_smoothing=draw(st.sampled_from([0.0, 0.05, 0.3, 1.0])),
    )
    return case_of(
        count,
        seed,
        present={side: rng.random(count) <= there for side in SIDES},
        relation=(np.eye(count) + upper + upper.T).astype(np.int8),
        nested=draw(st.sampled_from([(), (3,), (2, 4)])),
        objective=objective,
    )


@given(cases(), st.integers(0, 2**32 - 1))
def test_the_derivation_by_hand_is_right(case: Case, seed: int) -> None:
    rng, step = np.random.default_rng(seed), 1e-6
    way = {side: rng.normal(size=values.shape) for side, values in case.sides.items()}

    def at(t: float) -> float:
        moved = {side: values + t * way[side] for side, values in case.sides.items()}
        return derived(replace(case, sides=moved, scale=case.scale + t))[0]

    _, slopes, by_scale, _ = derived(case)
    expected = by_scale + sum(float((slopes[side] * way[side]).sum()) for side in SIDES)
    assert (at(step) - at(-step)) / (2 * step) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@given(cases())
def test_loss_and_gradient_are_those_of_the_formulas(case: Case) -> None:
    assert_right(case)


@pytest.mark.parametrize("form", ["symmetric", "directed"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("nested", [(), (2, 4)])
@pytest.mark.parametrize("street", [8, 5])
@pytest.mark.parametrize("kin", [0, 1, -1])
def test_a_batch_of_every_kind(
    form: str, smoothing: float, nested: tuple[int, ...], street: int, kin: int
) -> None:
    relation = np.eye(8, dtype=np.int8)
    for i, j in ((0, 1), (0, 2), (4, 7)):
        relation[i, j] = relation[j, i] = kin
    objective = ObjectiveConfig(
        form=form, label_smoothing=smoothing, text_weight=0.7, edge_weights={"text-street": 0.3}
    )
    case = case_of(8, 1, relation=relation, nested=nested, objective=objective)
    case.present["street"][street:] = False
    assert_right(case)


def assert_right(case: Case) -> None:
    total, slopes, by_scale, edges = derived(case)
    if not edges:
        with pytest.raises(NothingToCompareError, match="nothing to learn from"):
            compute(case)
        return
    loss, found, found_by_scale = compute(case)
    assert {name: float(value) for name, value in loss.edges.items()} == pytest.approx(
        edges, abs=1e-11
    )
    assert float(loss.total.detach()) == pytest.approx(total, abs=1e-11)
    assert found_by_scale == pytest.approx(by_scale, abs=1e-10)
    for side in SIDES:
        np.testing.assert_allclose(found[side], slopes[side], rtol=0, atol=1e-10)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_with_one_positive_it_is_cross_entropy(smoothing: float) -> None:
    case = case_of(6, objective=ObjectiveConfig(label_smoothing=smoothing))
    a, b = (torch.from_numpy(case.sides[side]) for side in ("drone", "satellite"))
    logits, target = SCALE * a @ b.T, torch.arange(6)
    there, back = (
        F.cross_entropy(x, target, label_smoothing=smoothing) for x in (logits, logits.T)
    )
    edge = compute(case)[0].edges["drone-satellite"]
    assert float(edge) == pytest.approx(float(there + back) / 2, abs=1e-12)


def test_all_six_edges_count_alike_by_default() -> None:
    case = case_of(5, objective=ObjectiveConfig())
    loss, _, _ = compute(case)
    assert sorted(loss.edges) == sorted("-".join(edge) for edge in IMAGE + TEXT)
    assert float(loss.total.detach()) == pytest.approx(
        sum(float(value) for value in loss.edges.values()) / 3, abs=1e-12
    )


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_places_does_not_matter(case: Case, random: object) -> None:
    order = list(range(case.count))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = replace(
        case,
        sides={side: values[order] for side, values in case.sides.items()},
        present={side: mask[order] for side, mask in case.present.items()},
        relation=np.ascontiguousarray(case.relation[np.ix_(order, order)]),
    )
    if not derived(case)[3]:
        return
    (one, slopes, _), (two, moved, _) = compute(case), compute(shuffled)
    assert float(one.total.detach()) == pytest.approx(float(two.total.detach()), abs=1e-11)
    for side in SIDES:
        np.testing.assert_allclose(slopes[side][order], moved[side], rtol=0, atol=1e-10)
    assert one.accuracy.keys() == two.accuracy.keys()
    for name, share in one.accuracy.items():
        assert float(share) == pytest.approx(float(two.accuracy[name]))


@given(cases())
def test_what_is_missing_takes_no_part(case: Case) -> None:
    if not derived(case)[3]:
        return
    other = case_of(case.count, seed=99).sides
    filled = {
        side: np.where(case.present[side][:, None], values, 10 * other[side])
        for side, values in case.sides.items()
    }
    one, _, by_scale = compute(case)
    two, slopes, by_scale_too = compute(replace(case, sides=filled))
    assert torch.equal(one.total, two.total)
    assert by_scale == by_scale_too
    assert one.accuracy == two.accuracy
    for side in SIDES:
        assert not slopes[side][~case.present[side]].any()


@given(cases(), st.integers(1, 6))
def test_the_mean_over_processes_is_the_loss_of_one(case: Case, processes: int) -> None:
    if not derived(case)[3]:
        return
    loss, slopes, by_scale = compute(case)
    sides = {side: torch.from_numpy(v).requires_grad_() for side, v in case.sides.items()}
    scale = torch.tensor(case.scale, dtype=torch.float64, requires_grad=True)
    present = {side: torch.from_numpy(mask) for side, mask in case.present.items()}
    totals, edges = [], []
    for own in np.array_split(np.arange(case.count), processes):
        part = geobridge_loss(
            {side: values[own] for side, values in sides.items()},
            {side: mask[own] for side, mask in present.items()},
            sides,
            present,
            torch.from_numpy(case.relation[own]),
            scale,
            case.objective,
            case.nested,
            processes,
        )
        totals.append(part.total)
        edges.append(part.edges)
        here = {name for name in part.edges if both_of(case, name)[own].any()}
        assert part.accuracy.keys() == here
    total = torch.stack(totals).mean()
    assert float(total.detach()) == pytest.approx(float(loss.total.detach()), abs=1e-11)
    for name, value in loss.edges.items():
        mean = sum(float(part[name]) for part in edges) / processes
        assert mean == pytest.approx(float(value), abs=1e-11)
    *found, found_by_scale = torch.autograd.grad(total, [*sides.values(), scale])
    assert float(found_by_scale) == pytest.approx(by_scale, abs=1e-10)
    for side, slope in zip(SIDES, found, strict=True):
        np.testing.assert_allclose(slope, slopes[side], rtol=0, atol=1e-10)


def both_of(case: Case, edge: str) -> Mask:
    a, b = edge.split("-")
    return np.asarray(case.present[a] & case.present[b])


def test_a_side_that_no_edge_uses_has_a_gradient_of_zero() -> None:
    case = case_of(4)
    case.present["street"][1:] = False
    loss, slopes, _ = compute(case)
    assert sorted(loss.edges) == ["drone-satellite", "text-drone", "text-satellite"]
    assert not slopes["street"].any()
    assert all(slopes[side].any() for side in ("drone", "satellite", "text"))


def test_edges_need_both_their_towers() -> None:
    case = case_of(4)
    del case.sides["street"]
    loss, _, _ = compute(case)
    assert sorted(loss.edges) == ["drone-satellite", "text-drone", "text-satellite"]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_without_negatives_are_content(smoothing: float, dtype: torch.dtype) -> None:
    case = case_of(3, relation=np.array([[1, -1, 1], [-1, 1, -1], [1, -1, 1]], np.int8))
    sides = {s: torch.from_numpy(v).to(dtype).requires_grad_() for s, v in case.sides.items()}
    present = {side: torch.ones(3, dtype=torch.bool) for side in SIDES}
    objective = ObjectiveConfig(label_smoothing=smoothing)
    scale = torch.tensor(100.0, dtype=dtype)
    relation = torch.from_numpy(case.relation)
    loss = geobridge_loss(sides, present, sides, present, relation, scale, objective)
    slopes = torch.autograd.grad(loss.total, list(sides.values()))
    assert float(loss.total.detach()) == 0.0
    assert not any(bool(slope.any()) for slope in slopes)  # NaN is no zero
    assert all(float(share) == 1.0 for share in loss.accuracy.values())


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_single_precision_is_enough_at_the_largest_scale(sign: float) -> None:
    """Every drone view meets its own place, or its opposite, at a scale of 100."""
    case = case_of(16, seed=4, scale=100.0)
    sides = case.sides | {"drone": sign * case.sides["satellite"]}
    case = replace(case, sides=sides)
    exact = compute(case)[1]
    short = {s: torch.from_numpy(v).float().requires_grad_() for s, v in case.sides.items()}
    present = {side: torch.ones(16, dtype=torch.bool) for side in SIDES}
    relation, scale = torch.eye(16, dtype=torch.int8), torch.tensor(100.0)
    loss = geobridge_loss(short, present, short, present, relation, scale, case.objective)
    assert float(loss.total.detach()) == pytest.approx(derived(case)[0], rel=1e-5)
    for side, slope in zip(
        SIDES, torch.autograd.grad(loss.total, list(short.values())), strict=True
    ):
        np.testing.assert_allclose(slope, exact[side], rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("present", "objective"),
    [
        ({"drone": 4}, {}),
        ({"drone": 4, "satellite": 1}, {}),
        ({"drone": 4, "satellite": 4}, {"edge_weights": {"drone-satellite": 0.0}}),
        ({"drone": 4, "satellite": 4}, {"image_weight": 0.0}),
    ],
)
def test_nothing_to_compare_is_said(present: dict[str, int], objective: dict[str, object]) -> None:
    masks = {side: np.arange(4) < present.get(side, 0) for side in SIDES}
    with pytest.raises(NothingToCompareError, match="no edge of the batch has two places"):
        compute(case_of(4, present=masks, objective=ObjectiveConfig(**objective)))


def test_accuracy_is_the_share_of_rows_whose_best_is_a_positive() -> None:
    eye = np.eye(5)
    sides = dict.fromkeys(SIDES, eye) | {"satellite": eye[[1, 0, 2, 4, 3]] + 0.1 * eye}
    case = case_of(5, sides=sides)
    assert float(compute(case)[0].accuracy["drone-satellite"]) == pytest.approx(1 / 5)
    kin = np.eye(5, dtype=np.int8)
    kin[0, 1] = kin[1, 0] = 1  # 0 and 1 take each other for themselves, rightly
    kin[3, 4] = kin[4, 3] = -1  # and 3 and 4 are not asked about each other
    loss, _, _ = compute(replace(case, relation=kin))
    assert float(loss.accuracy["drone-satellite"]) == 1.0


def test_a_network_that_tells_nothing_apart_matches_nothing() -> None:
    same = np.tile(np.eye(1, DIMENSION), (4, 1))
    loss, _, _ = compute(case_of(4, sides=dict.fromkeys(SIDES, same)))
    assert set(map(float, loss.accuracy.values())) == {0.0}
