"""Readers of recorded behaviour: what was written down about what a model did, as one canonical table."""

from __future__ import annotations

from concordant.models.readers.read import read_records as read_records
