"""Benchmarks: what it costs, beside the peers, with the command that measured it."""
