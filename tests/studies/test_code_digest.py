"""The digest of a study's code: what makes results of yesterday stale, and what does not."""

from __future__ import annotations

import importlib
import sys
import time

import pytest

from concordant.studies import code_digest as module
from concordant.studies.code_digest import code_digest, modules_of
from toy_studies import toy_mean, toy_worse

STUDY = '''"""A study."""

from concordant.studies.study import Claim, study
from digested.helpers import (
    helped,  # a remark, with a comma
    other as another,
)


@study("digested", claims=[Claim("c", "a.score", 0, "higher")], baseline="nothing")
def digested(scale, seed):
    """Do it."""
    from .near import near

    return {"a.score": helped(seed) + near(another())}
'''
FILES = {
    "__init__.py": "",
    "studied.py": STUDY,
    "helpers/__init__.py": "from digested.helpers.inner import helped as helped\nfrom .inner import other as other\n",
    "helpers/inner.py": 'def helped(x):\n    """Help."""\n    return x\n\n\ndef other():\n    return 1\n',
    "near.py": "import numpy, digested.far\n\n\ndef near(x):\n    return x\n",
    "far.py": "TEXT = '''\n'''\n",
    "unrelated.py": "",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a package of a third party; return a function that changes a file and gives the digest."""
    folder = tmp_path / "digested"
    monkeypatch.syspath_prepend(str(tmp_path))

    def digest(file="studied.py", old="", new=""):
        for name, text in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            assert name != file or old in text
            (folder / name).write_text(text.replace(old, new) if name == file and old else text)
        for name in [name for name in sys.modules if name.split(".")[0] == "digested"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        for cached in (module._imported, module._code_of):
            cached.cache_clear()
        study = importlib.import_module("digested.studied").digested
        return code_digest(study), modules_of(study)

    yield digest
    for name in [name for name in sys.modules if name.split(".")[0] == "digested"]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def no_bytecode(monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def test_what_a_study_stands_on_is_found(package):
    _, found = package()
    own = {name for name in found if name.startswith("digested")}
    assert own == {"digested.helpers.inner", "digested.near", "digested.far"}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("studied.py", '"""Do it."""', '"""Do it\n\n    at length.\n    """'),
        ("studied.py", '"""A study."""', '"""A study, told otherwise."""'),
        ("studied.py", 'baseline="nothing"', 'baseline="something"'),
        ("studied.py", "a remark", "another"),
        ("helpers/inner.py", '"""Help."""', '"""Help more."""'),
    ],
)
def test_words_and_claims_change_nothing(package, file, old, new):
    assert package(file, old, new)[0] == package()[0]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("studied.py", "helped(seed) +", "helped(seed) -"),
        ("helpers/inner.py", "return x", "return x + 1"),
        ("near.py", "return x", "return -x"),
        ("far.py", "'''\n'''", "'''\n# no comment\n'''"),
    ],
)
def test_code_changes_it(package, file, old, new):
    assert package(file, old, new)[0] != package()[0]


def test_what_it_does_not_import_changes_nothing(package, tmp_path):
    before, _ = package()
    (tmp_path / "digested" / "unrelated.py").write_text("x = 1\n")
    importlib.invalidate_caches()
    study = importlib.import_module("digested.studied").digested
    assert code_digest(study) == before


def test_data_files_count(package, monkeypatch, tmp_path):
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"1")
    monkeypatch.setattr(module, "_data_files", lambda packages: [weights])
    monkeypatch.setattr(module, "ROOT", tmp_path)
    before, _ = package()
    weights.write_bytes(b"2")
    assert package()[0] != before


def test_studies_of_one_file_differ():
    assert code_digest(toy_mean) != code_digest(toy_worse)
    assert set(modules_of(toy_mean)) == {"concordant.core.errors"}


def test_it_is_quick():
    from concordant.studies.registry import find_study

    study = find_study("muscle")
    started = time.process_time()
    code_digest(study)
    assert time.process_time() - started < 1
    assert {"concordant.versions.muscle", "concordant.learn.loop", "concordant.core.gate"} <= set(
        modules_of(study)
    )
    assert not any(name.startswith("concordant.cli") for name in modules_of(study))
