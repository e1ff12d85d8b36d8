"""The last layer, run only for the tokens that are read, gives them the same as the whole layer."""

import pytest
import torch
from tiny_language import KINDS, moved, tiny_language_model
from torch import nn
from torch.func import functional_call

from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.causal_lm.scoring.last_layer import last_layer

TOKENS = torch.arange(3, 24).reshape(3, 7)


def masked():
    """Rows with two branches of two tokens each behind a stem of three, at equal positions."""
    mask = torch.ones(7, 7, dtype=torch.bool).tril()
    mask[5:, 3:5] = False
    positions = torch.tensor([0, 1, 2, 3, 4, 3, 4]).expand(3, 7)
    return {"positions": positions, "mask": mask.expand(3, 1, 7, 7)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("extra", [{}, masked()], ids=["plain", "branches"])
@pytest.mark.parametrize("columns", [[[6], [0], [3]], [[6, 2, 0], [1, 1, 5], [3, 4, 5]]], ids=["one", "three"])
def test_the_read_tokens_get_what_they_get_in_the_whole_layer(kind, extra, columns):
    model = tiny_language_model(kind)
    last = last_layer(model.head)
    assert last is not None
    weights = model.weights(moved(model))
    chosen = torch.tensor(columns)
    with torch.no_grad():
        whole = functional_call(model.head, weights, kwargs={"tokens": TOKENS, **extra}).unflatten(0, (3, 7))
        with last.only(chosen):
            few = functional_call(model.head, weights, kwargs={"tokens": TOKENS, **extra}).unflatten(0, (3, -1))
        after = functional_call(model.head, weights, kwargs={"tokens": TOKENS, **extra}).unflatten(0, (3, 7))
    torch.testing.assert_close(few, whole[torch.arange(3)[:, None], chosen], atol=1e-5, rtol=1e-5)
    assert torch.equal(whole, after), "the model is not as it was"


def test_fewer_tokens_go_through_the_layer():
    model = tiny_language_model("llama")
    seen = []
    model.head.lm.model.layers[-1].mlp.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
    last = last_layer(model.head)
    seen.clear()
    with torch.no_grad(), last.only(torch.tensor([[6], [6], [2]])):
        model.head(tokens=TOKENS)
    assert seen == [(3, 1, 32)]


def test_a_model_that_has_no_such_layer_is_left_alone():
    model = tiny_language_model()
    strange = CausalHead(model.head.lm)
    layers = model.head.lm.model.decoder.layers
    layers[-1] = _OtherNames(layers[-1])
    assert last_layer(strange) is None


class _OtherNames(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, hidden, **kwargs):
        return self.layer(hidden, **kwargs)
