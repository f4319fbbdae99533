"""Merges of four sharded parents in bfloat16, beside mergekit in the same run, and beside reading and writing alone.

The size of a parent is 256 MB, or what the variable BENCH_MERGE_MB says. Every merge runs in a process of its own, so
that its peak memory is its own (with what was imported).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.timing import Figure, peer

if TYPE_CHECKING:
    from collections.abc import Iterator

N_PARENTS = 4
THREADS = 2
HIDDEN, INNER, VOCABULARY = 1024, 2816, 16_000
METHODS = {
    "breadcrumbs": "{weight: 0.4, density: 0.8, gamma: 0.02}",
    "ties": "{weight: 1.0, density: 0.2}",
}
MANY_TIMES = 2.0
"""How much faster than the peer a merge is to be."""


def main(peer_python: str = sys.executable) -> Iterator[Figure]:
    megabytes = int(os.environ.get("BENCH_MERGE_MB", "256"))
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        make_models(root, megabytes)
        copied = _child("copy", root)
        for method, numbers in METHODS.items():
            recipe = root / f"{method}.yaml"
            recipe.write_text(recipe_text(root, method, numbers), encoding="utf-8")
            ours = _child("merge", root, recipe=recipe, out=root / f"ours-{method}")
            what = f"{method} of {N_PARENTS} parents of {megabytes} MB: seconds, and peak memory"
            measured = told(ours)
            out = root / f"theirs-{method}"
            theirs = peer(peer_python, "mergekit_merge.py", recipe=str(recipe), out=str(out), threads=THREADS)
            aim = f"{MANY_TIMES:g} times as fast as mergekit, in no more memory"
            if theirs is None:
                yield Figure(what, measured, aim, "mergekit is not installed there")
            else:
                holds = (
                    theirs["seconds"] >= MANY_TIMES * ours["seconds"] and ours["peak_mb"] <= theirs["peak_mb"]
                )
                yield Figure(what, measured, aim, f"mergekit: {told(theirs)}", holds)
                yield equality(root, method, out)
            ratio = ours["seconds"] / copied["seconds"]
            beside = f"reading the models and writing one: {copied['seconds']:.1f} s"
            yield Figure(
                f"{method}: time as a multiple of reading and writing alone", f"{ratio:.1f}", "-", beside
            )


def told(done: dict[str, float]) -> str:
    """Say how long a merge took, and how much memory."""
    return f"{done['seconds']:.1f} s (CPU {done['cpu']:.1f} s), {done['peak_mb']:,.0f} MB"


def make_models(root: Path, megabytes: int) -> None:
    """Write a base and its parents: small changes of random weights, in shards of a quarter of the model."""
    import torch
    from transformers import LlamaConfig

    from concordant.models.weight_output import WeightOutput

    n_layers = max(
        1, round((megabytes * 1e6 / 2 - VOCABULARY * HIDDEN) / (4 * HIDDEN**2 + 3 * HIDDEN * INNER))
    )
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=INNER,
        num_hidden_layers=n_layers,
        num_attention_heads=8,
        tie_word_embeddings=True,
        architectures=["LlamaForCausalLM"],
        dtype="bfloat16",
    )
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for layer in range(n_layers):
        inside = f"model.layers.{layer}."
        shapes |= {f"{inside}self_attn.{one}_proj.weight": (HIDDEN, HIDDEN) for one in "qkvo"}
        shapes |= {f"{inside}mlp.{one}_proj.weight": (INNER, HIDDEN) for one in ("gate", "up")}
        shapes |= {f"{inside}mlp.down_proj.weight": (HIDDEN, INNER)}
        shapes |= {f"{inside}{one}_layernorm.weight": (HIDDEN,) for one in ("input", "post_attention")}
    shapes["model.norm.weight"] = (HIDDEN,)
    layout = {name: (torch.bfloat16, shape) for name, shape in shapes.items()}
    for model in range(N_PARENTS + 1):
        folder = root / f"model{model}"
        folder.mkdir()
        config.save_pretrained(folder)
        with WeightOutput(folder, layout, shard_bytes=megabytes * 1_000_000 // 4) as output:
            for i, (name, shape) in enumerate(shapes.items()):
                weight = torch.randn(shape, generator=torch.Generator().manual_seed(i)) * 0.02
                if model:
                    draw = torch.Generator().manual_seed(1000 * model + i)
                    weight += torch.randn(shape, generator=draw) * 0.002
                output.write(name, weight.to(torch.bfloat16))


def recipe_text(root: Path, method: str, numbers: str) -> str:
    """Return a recipe that both read, with arithmetic in float32 and a result in bfloat16."""
    parents = "".join(
        f"  - model: {root}/model{i}\n    parameters: {numbers}\n" for i in range(1, N_PARENTS + 1)
    )
    ends = "dtype: float32\nout_dtype: bfloat16\n"
    return f"merge_method: {method}\nbase_model: {root}/model0\nmodels:\n{parents}{ends}"


def equality(root: Path, method: str, out: Path) -> Figure:
    """Say how many entries of both results are the same, and whether the others are at a tie of ranks."""
    import torch

    from concordant.models.weight_files import WeightFiles

    models = [WeightFiles(root / f"model{i}") for i in range(N_PARENTS + 1)]
    ours, theirs = WeightFiles(root / f"ours-{method}"), WeightFiles(out)
    keep, remove = (0.8, 0.02) if method == "breadcrumbs" else (0.2, 0.0)
    n = unlike = unexplained = 0
    for name in ours.entries:
        a, b = ours.read(name), theirs.read(name)
        differs = a != b
        n += a.numel()
        unlike += int(differs.sum())
        if differs.any():
            base = models[0].read(name).float()
            sizes = [(model.read(name).float() - base).abs() for model in models[1:]]
            tied = torch.stack([at_a_cut(size, keep, remove) for size in sizes]).any(0)
            # a sum in another order is apart by the rounding of float32 in its terms, and then of bfloat16
            near = (a.float() - b.float()).abs() <= b.float().abs() / 128 + 1e-6
            unexplained += int((differs & ~tied & ~near).sum())
    for files in (*models, ours, theirs):
        files.close()
    return Figure(
        f"{method}: entries of the result that are those of mergekit",
        f"{1 - unlike / n:.4%}; {unexplained:,} of the others are not at a tie of ranks",
        "all but ties",
        "equal deltas at a cut: which of them survive is arbitrary there, and the first here",
        unexplained == 0,
    )


def at_a_cut(sizes: Any, keep: float, remove: float) -> Any:
    """Return true where an absolute delta equals one of the two thresholds."""
    from concordant.versions.merging.masks import ranks

    first, end = ranks(sizes.numel(), keep, remove)
    ordered = sizes.reshape(-1).sort(descending=True).values
    places = {max(0, end - 1), min(end, len(ordered) - 1), max(0, first - 1), first}
    return sum((sizes == ordered[place] for place in places), sizes < 0)


def _child(part: str, root: Path, **paths: Path) -> dict[str, float]:
    command = [
        sys.executable,
        "-m",
        "bench.merging",
        part,
        str(root),
        *(str(path) for path in paths.values()),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def _copy(root: Path) -> None:
    """Read all models, and write as much as one of them."""
    for model in sorted(root.glob("model*")):
        for i, path in enumerate(sorted(model.glob("*.safetensors"))):
            with path.open("rb", buffering=0) as file:
                while piece := file.read(1 << 24):
                    if model.name == "model0":
                        with (root / f"copy{i}").open("ab") as copy:
                            copy.write(piece)
    for path in root.glob("copy*"):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        path.unlink()


def _merge(recipe: Path, out: Path) -> None:
    from concordant.cli.merge import read_plan
    from concordant.versions.merging import merge_folders

    merge_folders(read_plan(recipe)[1], out, progress=False)


def peak_mb() -> float:
    """Return the peak memory of this program; ru_maxrss would be that of the one which started it, if larger."""
    return int(Path("/proc/self/status").read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) / 1024


def run(part: str, root: str, *paths: str) -> None:
    """Do one part in this process, and print its seconds and peak memory."""
    import torch

    from concordant.versions.merging import merge_folders  # noqa: F401 - what is imported is not timed

    torch.set_num_threads(THREADS)
    start, cpu = time.perf_counter(), time.process_time()
    if part == "copy":
        _copy(Path(root))
    else:
        _merge(*map(Path, paths))
    seconds = time.perf_counter() - start
    peak = peak_mb()
    print(json.dumps({"seconds": seconds, "cpu": time.process_time() - cpu, "peak_mb": peak}))


if __name__ == "__main__":
    run(*sys.argv[1:])
