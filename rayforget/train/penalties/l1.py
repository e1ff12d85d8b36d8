"""L1 to theta_0 as a proximal step after the optimiser's.

The step is the proximal operator of tau * |theta - theta_0|_1 with tau = lr_t * strength (soft thresholding around
theta_0, Parikh and Boyd 2014, section 6.5.2):

    theta <- min(max(theta_0, theta - tau), theta + tau)

Every weight moves by at most tau towards theta_0 and stops there. tau = 0 changes no bit, |theta - theta_0| <= tau
gives theta_0 to the bit, any large tau gives theta_0; it is stable for every tau. Adam moves a weight by about lr per
step, so a strength of 1 or more freezes the model: useful strengths are 1e-3 to 1, on a log scale.
"""

import torch
from torch import Tensor


@torch.no_grad()
def l1_proximal_step(weights: list[Tensor], theta_0: list[Tensor], tau: float) -> None:
    """Moves every weight by at most tau towards its theta_0, in place.

    Args:
        weights: any shapes, changed in place.
        theta_0: the same shapes and devices.
        tau: learning rate of the step times strength, >= 0.
    """
    if tau == 0:
        return
    lower, upper = torch._foreach_sub(weights, tau), torch._foreach_add(weights, tau)
    torch._foreach_maximum_(lower, theta_0)
    torch._foreach_minimum_(lower, upper)
    torch._foreach_copy_(weights, lower)
