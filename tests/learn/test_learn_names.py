from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from concordant import learn
from concordant.core.errors import MissingExtraError


def test_every_name_is_there_and_sorted():
    assert learn.__all__ == sorted(learn.__all__) == dir(learn)
    for name in learn.__all__:
        assert getattr(learn, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'adversarial'"):
        learn.adversarial  # noqa: B018


def test_no_name_is_hidden_by_a_file_of_the_same_name():
    """Once imported, ``learn/dpo.py`` would be what ``learn.dpo`` gives."""
    files = {path.stem for path in Path(learn.__file__).parent.iterdir()}
    assert files.isdisjoint(learn.__all__)


def test_importing_the_package_leaves_torch_alone():
    code = "import sys, concordant.learn; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(vars(learn), "dpo", raising=False)
    with pytest.raises(MissingExtraError, match=r"need torch, .* pip install 'concordant\[torch\]'"):
        learn.dpo  # noqa: B018
