"""The flow: items, relations, the runner, judging, statistics, findings, gates and the store.

It knows nothing of particular models or relations; those stand on it. Its public names are those of
`concordant` itself, and the statistics in `concordant.core.statistics`.
"""
