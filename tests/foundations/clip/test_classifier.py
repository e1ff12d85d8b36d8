import pytest
import torch
from tiny_clip import task

from rayforget.foundations.clip.scoring.classifier import groups_within, restrict

SPECIALITY = task("s", ("a", "b", "c", "d"))


def reference(features, vectors, groups):
    """The definition, one item and one label at a time."""
    best = [[max(float(feature @ vectors[row]) for row in rows) for rows in groups] for feature in features.double()]
    return [scores.index(max(scores)) for scores in best]


@pytest.mark.parametrize("groups", [((0,), (1,), (2,), (3,)), ((2,), (0,)), ((3, 1), (0,), (2, 0, 1)), ((1,),)])
@pytest.mark.parametrize("num_items", [1, 17])
def test_prediction_equals_the_definition(num_items, groups):
    features, vectors = torch.randn(num_items, 5), torch.randn(4, 5)
    assert restrict(vectors, groups).predict(features).tolist() == reference(features, vectors.double(), groups)


def test_without_groups_every_row_is_a_label():
    features, vectors = torch.randn(9, 5), torch.randn(4, 5)
    assert torch.equal(restrict(vectors, None).predict(features), (features @ vectors.T).argmax(1))


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (task("same", ("a", "b", "c", "d")), ((0,), (1,), (2,), (3,))),
        (task("fewer, in another order", ("c", "a")), ((2,), (0,))),
        (task("one", ("d",)), ((3,),)),
        (task("one more", ("a", "b", "c", "d", "e")), None),
        (task("other prompts", ("a", "b"), templates=("{}",)), None),
        (task("groups", ("d", "c", "a"), class_groups=((0, 2), (1,))), ((3, 0), (2,))),
        (task("same names, other classes", ("a", "b"), class_ids=("x", "y")), None),
        (task("other names, same classes", ("x", "y"), class_ids=("d", "a")), ((3,), (0,))),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_rows_of_the_speciality_that_serve_a_task(other, expected):
    assert groups_within(other, SPECIALITY) == expected
