"""What inside a model decides: which part writes what, and what the model does when that part is turned up or down.

Nothing here imports torch before one of the names that need it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from concordant.core import lazy

_HOME: dict[str, str] = {}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy.late_names(__name__, _HOME, torch="the mechanisms of models")
