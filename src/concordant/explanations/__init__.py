"""Agrees with its explanation: explainers, and what shows whether an explanation behaves like the model it explains."""
