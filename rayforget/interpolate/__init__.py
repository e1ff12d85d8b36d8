"""Between theta_0 and theta_1: the lerp, and which alphas to look at."""
