"""oneDNN's linear layers are torch's within rounding."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from rayforget.evaluate.cpu_linear import OneDnnLinear


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (2, 5, 64), (0, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_product_is_that_of_float64(shape, bias):
    layer = nn.Linear(shape[-1], 33, bias=bias)
    inputs = torch.randn(shape)
    with torch.inference_mode(), OneDnnLinear():
        found = layer(inputs)
    expected = layer.double()(inputs.double())
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


def test_onednn_is_used_where_torch_has_it():
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    layer, inputs = nn.Linear(8, 8), torch.randn(3, 8)
    with torch.no_grad(), OneDnnLinear(), torch.profiler.profile() as profile:
        layer(inputs)
    assert any("mkldnn" in event.key for event in profile.key_averages())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_are_left_to_torch(dtype):
    layer, inputs = nn.Linear(5, 4, dtype=dtype), torch.randn(3, 5, dtype=dtype)
    with torch.no_grad():
        expected = layer(inputs)
        with OneDnnLinear():
            assert torch.equal(layer(inputs), expected)


def test_gradients_are_left_to_torch():
    layer, inputs = nn.Linear(5, 4), torch.randn(3, 5)
    with OneDnnLinear():
        functional.linear(inputs, weight=layer.weight).sum().backward()
        layer(inputs).sum().backward()
    assert layer.weight.grad is not None
