"""Proximal steps as Triton kernels that read each weight once and write it once, all tensors of a training in a launch.

A program handles one chunk of one tensor: tables on the device say where it begins and how many numbers it has.
"""

import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]


@triton.jit  # type: ignore[untyped-decorator]
def l1(weights, starts, further, counts, tau, block: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: D103
    # theta <- min(max(theta_0, theta - tau), theta + tau)
    chunk = tl.program_id(0)
    weight = tl.load(weights + chunk).to(tl.pointer_type(tl.float32))
    start = tl.load(starts + chunk).to(tl.pointer_type(tl.float32))
    count = tl.load(counts + chunk)
    step = tl.load(tau).to(tl.float32)
    for first in range(0, count, block):
        at = first + tl.arange(0, block)
        there = at < count
        value = tl.load(weight + at, mask=there)
        target = tl.load(start + at, mask=there)
        tl.store(weight + at, tl.minimum(tl.maximum(value - step, target), value + step), mask=there)


@triton.jit  # type: ignore[untyped-decorator]
def ewc(weights, starts, further, counts, tau, block: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: D103
    # theta <- lerp(theta, theta_0, w), w = tau F / (1 + tau F) in float64; torch.lerp's two forms
    chunk = tl.program_id(0)
    weight = tl.load(weights + chunk).to(tl.pointer_type(tl.float32))
    start = tl.load(starts + chunk).to(tl.pointer_type(tl.float32))
    fisher = tl.load(further + chunk).to(tl.pointer_type(tl.float32))
    count = tl.load(counts + chunk)
    step = tl.load(tau)
    for first in range(0, count, block):
        at = first + tl.arange(0, block)
        there = at < count
        value = tl.load(weight + at, mask=there)
        target = tl.load(start + at, mask=there)
        scaled = tl.minimum(tl.load(fisher + at, mask=there).to(tl.float64) * step, 1e300)
        share = (scaled / (1 + scaled)).to(tl.float32)
        near = tl.abs(share) < 0.5
        moved = tl.where(near, value + share * (target - value), target - (target - value) * (1 - share))
        tl.store(weight + at, moved, mask=there)
