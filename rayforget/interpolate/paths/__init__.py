"""The paths from theta_0 to theta_1, one file each."""
