"""L2 to theta_0 (L2-SP, Li et al. 2018) as a proximal step after the optimiser's.

The step is the proximal operator of tau/2 * |theta - theta_0|^2 with tau = lr_t * strength (Parikh and Boyd 2014):

    theta <- (theta + tau * theta_0) / (1 + tau) = lerp(theta, theta_0, tau / (1 + tau))

tau = 0 changes no bit, tau -> infinity gives theta_0; it is stable for every tau, where the explicit step
theta - tau * (theta - theta_0) diverges beyond tau = 2. Useful strengths lie around 1 / sum_t lr_t.
"""

import torch
from torch import Tensor


@torch.no_grad()
def l2_proximal_step(weights: list[Tensor], theta_0: list[Tensor], tau: float) -> None:
    """Moves every weight the share tau / (1 + tau) of its way to theta_0, in place.

    Args:
        weights: any shapes, changed in place.
        theta_0: the same shapes and devices.
        tau: learning rate of the step times strength, >= 0.
    """
    if tau == 0:
        return
    torch._foreach_lerp_(weights, theta_0, tau / (1 + tau))
