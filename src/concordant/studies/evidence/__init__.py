"""What running the studies has shown: one JSON file a paper, written by ``make evidence`` and by nothing else.

`concordant.studies.evidence.records` reads and writes them. The states of claims in the catalogue, ``concordant papers``
and docs/evidence.md are made from these files.
"""
