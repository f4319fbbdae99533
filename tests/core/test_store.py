"""Run folders: whole segments only, nothing lost, one writer."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import polars as pl
import pytest

from concordant.core.errors import StoreError
from concordant.core.store import RunFolder, read_description

DESCRIPTION = {"items": {"digest": "abc", "n": 2}}
ITEMS = pl.DataFrame({"id": ["a", "b"], "input": ["x", "y"]})


def segment(item: str, output: str | None = "yes", error: str | None = None) -> pl.DataFrame:
    return pl.DataFrame({"item": [item], "sample": [0], "output": [output], "error": [error]})


def test_segments_are_read_back_in_order(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run").opened() as folder:
        assert folder.read("key") is None
        folder.append("key", segment("a"))
        folder.append("key", segment("b"))
        folder.append("other", segment("c"))
        assert folder.read("key")["item"].to_list() == ["a", "b"]
    names = sorted(p.name for p in (tmp_path / "run" / "behaviours").iterdir())
    assert names == ["key-00001.parquet", "key-00002.parquet", "other-00001.parquet"]


def test_a_resumed_run_goes_on_behind_the_last_segment(tmp_path: Path) -> None:
    with RunFolder(tmp_path).opened() as folder:
        folder.describe(DESCRIPTION, ITEMS)
        folder.append("key", segment("a"))
    with RunFolder(tmp_path, resume=True).opened() as folder:
        folder.describe(DESCRIPTION, ITEMS)
        folder.read("key")
        folder.append("key", segment("b"))
        assert folder.read("key")["item"].to_list() == ["a", "b"]


def test_an_answer_stands_before_an_error_of_the_same_item(tmp_path: Path) -> None:
    with RunFolder(tmp_path).opened() as folder:
        folder.append("key", segment("a", None, "no answer"))
        folder.append("key", segment("a"))
        assert folder.read("key")["output"].to_list() == ["yes"]


def test_a_torn_segment_is_set_aside_and_the_others_are_kept(tmp_path: Path) -> None:
    with RunFolder(tmp_path).opened() as folder:
        folder.append("key", segment("a"))
        folder.append("key", segment("b"))
        path = tmp_path / "behaviours" / "key-00001.parquet"
        path.write_bytes(path.read_bytes()[:100])
        assert folder.read("key")["item"].to_list() == ["b"]
        assert [p.name for p in folder.set_aside] == ["key-00001.torn"]
        folder.append("key", segment("a"))
        assert sorted(folder.read("key")["item"].to_list()) == ["a", "b"]


def test_a_folder_with_a_run_is_refused_without_resume(tmp_path: Path) -> None:
    with RunFolder(tmp_path).opened() as folder:
        folder.describe(DESCRIPTION, ITEMS)
    with (
        pytest.raises(StoreError, match="already holds a run; go on with it by --resume"),
        RunFolder(tmp_path).opened(),
    ):
        pass


def test_a_run_over_other_items_is_refused(tmp_path: Path) -> None:
    with RunFolder(tmp_path).opened() as folder:
        folder.describe(DESCRIPTION, ITEMS)
    with (
        RunFolder(tmp_path, resume=True).opened() as folder,
        pytest.raises(StoreError, match=r"over other items \(digest abc, now xyz\)"),
    ):
        folder.describe({"items": {"digest": "xyz", "n": 2}}, ITEMS)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path).opened(),
        pytest.raises(StoreError, match="is being written by another run"),
        RunFolder(tmp_path, resume=True).opened(),
    ):
        pass


def test_a_full_disk_loses_nothing_and_leaves_no_half_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with RunFolder(tmp_path).opened() as folder:
        folder.append("key", segment("a"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(
                StoreError, match="no space left on its disk; free some and go on with --resume"
            ):
                folder.append("key", segment("b"))
        assert [p.name for p in (tmp_path / "behaviours").iterdir()] == ["key-00001.parquet"]
        assert folder.read("key")["item"].to_list() == ["a"]


def test_a_path_that_is_a_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(StoreError, match="cannot be written: a part of the path is a file"),
        RunFolder(tmp_path / "file" / "run").opened(),
    ):
        pass


def test_a_later_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(StoreError, match="written by a later version"):
        read_description(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_folder_without_a_readable_run_is_refused(tmp_path: Path, content: str) -> None:
    if content:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(StoreError):
        read_description(tmp_path)
