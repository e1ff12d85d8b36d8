"""Rates of randomness are turned off under whatever name a model keeps them, and numbers of other kinds are left."""

import torch
from torch import Tensor, nn

from rayforget.foundations.randomness import still

RATES = ("attn_drop", "drop1", "resid_drop_p", "stochastic_depth_prob", "DropConnect", "hidden_dropout", "layerdrop")


class _Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for name in RATES:
            setattr(self, name, 0.5)
        self.scale, self.drop_last, self.backdrop = 0.5, True, 4

    def forward(self, x: Tensor) -> Tensor:
        for name in RATES:
            x = nn.functional.dropout(x, getattr(self, name), self.training)
        return x


def test_rates_of_any_name_are_turned_off_and_other_numbers_are_not() -> None:
    module = nn.Sequential(_Noisy())
    x = torch.ones(64)
    assert not torch.equal(module.train()(x), x)
    still(module)
    assert torch.equal(module.train()(x), x)
    noisy = module[0]
    assert (noisy.scale, noisy.drop_last, noisy.backdrop) == (0.5, True, 4)
