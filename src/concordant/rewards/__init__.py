"""Agrees with what is wanted: reward models, and optimisation against them."""
