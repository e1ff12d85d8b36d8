import numpy as np
import pytest

from rayforget.errors import RecordError, SpaceError
from rayforget.frontier.points import PointKey, TaskRole, aggregate, generality, parse_key, speciality

ROLES = (
    TaskRole(name="s1", role="speciality", group="x"),
    TaskRole(name="s2", role="speciality", group="y"),
    TaskRole(name="a1", role="generality", group="a"),
    TaskRole(name="a2", role="generality", group="a"),
    TaskRole(name="a3", role="generality", group="a"),
    TaskRole(name="b1", role="generality", group="b"),
)
VALUES = {"s1": 0.2, "s2": 0.8, "a1": 0.1, "a2": 0.2, "a3": 0.6, "b1": 0.9}


def test_speciality_is_the_mean_of_its_tasks() -> None:
    assert speciality(VALUES, ROLES) == pytest.approx((0.2 + 0.8) / 2, abs=1e-15)


def test_generality_weighs_groups_equally_whatever_their_sizes() -> None:
    assert generality(VALUES, ROLES) == pytest.approx(((0.1 + 0.2 + 0.6) / 3 + 0.9) / 2, abs=1e-15)


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (2, 0)])
def test_arrays_agree_with_one_model_at_a_time(shape: tuple[int, ...]) -> None:
    scores = np.random.default_rng(0).random((*shape, len(ROLES)))
    together = aggregate(scores, ROLES)
    assert together.shape == (*shape, 2)
    for index in np.ndindex(*shape):
        values = {role.name: float(x) for role, x in zip(ROLES, scores[index], strict=True)}
        assert tuple(together[index]) == (speciality(values, ROLES), generality(values, ROLES))


def test_speciality_ignores_generality_tasks_and_the_other_way_round() -> None:
    other = {**VALUES, "a1": 1.0, "b1": 0.0}
    assert speciality(other, ROLES) == speciality(VALUES, ROLES)
    assert generality({**VALUES, "s1": 1.0}, ROLES) == generality(VALUES, ROLES)


@pytest.mark.parametrize("role", ["speciality", "generality"])
def test_a_missing_role_is_named(role: str) -> None:
    others = [one for one in ROLES if one.role != role]
    with pytest.raises(SpaceError, match=f"no task has the role {role}"):
        aggregate(np.zeros((1, len(others))), others)


def test_a_missing_score_is_named() -> None:
    with pytest.raises(RecordError, match="no score for task b1"):
        generality({name: x for name, x in VALUES.items() if name != "b1"}, ROLES)


def test_columns_must_match_the_tasks() -> None:
    with pytest.raises(SpaceError, match="5 columns for 6 tasks"):
        aggregate(np.zeros((2, 5)), ROLES)


def test_the_order_of_the_tasks_changes_no_bit_and_equal_scores_tie() -> None:
    rng = np.random.default_rng(0)
    roles = [TaskRole(name=f"g{i}", role="generality", group="a" if i < 6 else "b") for i in range(8)]
    roles.append(TaskRole(name="s", role="speciality", group=""))
    for _ in range(200):
        hits = rng.integers(0, 101, len(roles))
        values = {role.name: hit / 100 for role, hit in zip(roles, hits, strict=True)}
        moved = {**values, "g0": values["g1"], "g1": values["g0"]}
        found = {
            generality(each, [roles[i] for i in rng.permutation(len(roles))])
            for each in (values, moved)
            for _ in range(5)
        }
        assert len(found) == 1


@pytest.mark.parametrize(
    "key",
    [
        PointKey("0010-l2", 24, 0.75),
        PointKey("plain-0", 1, 1 / 3, "lines(gamma=0.5)"),
        PointKey("0001-full", 100, -0.25, 'own(name="a/b", leads=[0,0.5,1])'),
    ],
)
def test_a_points_text_names_it_to_the_bit(key: PointKey) -> None:
    assert parse_key(key.text) == key


@pytest.mark.parametrize("text", ["", "0010-l2", "0010-l2/24/0.75", "0010-l2/x/lerp/0.75", "/1/lerp/1", "a/1/lerp/nan"])
def test_a_text_that_names_no_point_is_refused(text: str) -> None:
    with pytest.raises(SpaceError, match="names no point; expected TRIAL/STEP/PATH/ALPHA"):
        parse_key(text)
