"""What would have been: strategies on past days, by the physics, guards and kernels of the live service."""
