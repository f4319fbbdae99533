"""What `concordant.versions.editing` offers: all of it is there, and none of it is loaded before it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from concordant.versions import editing


def test_every_name_is_there_and_sorted():
    assert editing.__all__ == sorted(editing.__all__) == dir(editing)
    for name in editing.__all__:
        assert getattr(editing, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'heal'"):
        editing.heal  # noqa: B018


def test_no_name_is_hidden_by_a_file_of_the_same_name():
    files = {path.stem for path in Path(editing.__file__).parent.iterdir()}
    assert files.isdisjoint(editing.__all__)


def test_importing_the_package_leaves_torch_alone():
    code = "import sys, concordant.versions.editing; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
