"""Runs the Python in README.md and docs/*.md as tests; each page is one namespace, in a folder of its own.

Property tests draw the same examples every time, and none fails for being slow: a busy machine is no fault of the code.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

settings.register_profile("concordant", deadline=None, derandomize=True)
settings.load_profile("concordant")


def _setup(namespace: dict[str, Any]) -> None:
    namespace["_folder"] = tempfile.TemporaryDirectory()
    namespace["_before"] = Path.cwd()
    os.chdir(namespace["_folder"].name)


def _teardown(namespace: dict[str, Any]) -> None:
    os.chdir(namespace["_before"])
    namespace["_folder"].cleanup()


collect_ignore_glob = [
    "tests/fixtures/*"
]  # the scripts there make logs with other tools, which are not installed here

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md"],
    setup=_setup,
    teardown=_teardown,
).pytest()
