"""The models that ship: that they load anywhere, how large they are, and that the update is the one it is meant to be."""

import json
import re
import shutil
import subprocess
import sys

import polars as pl
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

import concordant as cc
from command import run
from concordant import pocket
from concordant.core.errors import ModelError
from concordant.core.model import Request
from concordant.pocket.card import CARD, card
from concordant.pocket.recipes import recipe

NAMES = {
    "250k-base",
    "250k-chat-v1",
    "250k-chat-v2",
    "1m-base",
    "1m-chat-v1",
    "1m-chat-v2",
    "3m-base",
}


def table_of(name):
    """Read the skill table of a card."""
    text = (pocket.model_folder(name) / CARD).read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (\w+) \| [^|]+ \| (\d+) \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \|$", text, re.MULTILINE
    )
    return {row[0]: (int(row[1]), *map(float, row[2:])) for row in rows}


def test_what_ships_and_how_large_it_is():
    assert set(pocket.released()) == NAMES
    folder = pocket.model_folder("1m-base").parent
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 16e6
    assert not list(folder.rglob("checkpoint"))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_card_has_every_skill(name):
    table = table_of(name)
    assert set(table) == {*pocket.SKILLS, "all"}
    assert all(n == 120 and low <= p <= high for n, p, low, high in (table[skill] for skill in pocket.SKILLS))
    assert table["all"][0] == 120 * len(pocket.SKILLS)


def test_the_update_is_better_on_average_and_worse_somewhere():
    before, after = table_of("1m-chat-v1"), table_of("1m-chat-v2")
    assert after["all"][1] > before["all"][1]
    assert any(after[skill][1] < before[skill][1] for skill in pocket.SKILLS)


def test_a_folder_loads_without_this_package():
    folder = pocket.model_folder("1m-chat-v2")
    code = (
        "import sys; from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        f"model = AutoModelForCausalLM.from_pretrained({str(folder)!r})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({str(folder)!r})\n"
        "chat = [{'role': 'user', 'content': 'How many brothers?'}]\n"
        "ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors='pt', return_dict=True)\n"
        "print(model.dtype, model.generate(**ids, max_new_tokens=4).shape[0], 'concordant' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["torch.float32", "1", "False"]


@pytest.mark.parametrize("name", ["250k-base", "250k-chat-v2"])
def test_answers_are_those_of_transformers(name):
    asked = pocket.items(["facts", "siblings"], 4, seed=5)
    model = pocket.load_pocket(name)
    answers = model.respond(asked, Request(max_tokens=12))["output"].to_list()
    folder = pocket.model_folder(name)
    plain, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for item, answer in zip(asked, answers, strict=True):
        text = item.input
        if "chat" in name:
            turns = [{"role": "user", "content": text}]
            text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, return_tensors="pt", add_special_tokens="chat" not in name)["input_ids"]
        made = plain.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
        assert tokenizer.decode(made, skip_special_tokens=True) == answer


def test_a_table_counts_what_is_verified():
    items = pocket.skill_items(8, skills=["counting", "facts"], seed=3)
    perfect = cc.load(lambda text: pocket.SKILLS["counting" if "how many" in text else "facts"].solve(text))
    table = pocket.skill_table(perfect, items)
    assert table.select("skill", "n", "accuracy").rows() == [
        ("counting", 8, 1.0),
        ("facts", 8, 1.0),
        ("all", 16, 1.0),
    ]
    assert table["low"][0] == pytest.approx(0.6756, abs=1e-4)  # Wilson, 8 of 8: 1 / (1 + z^2 / 8)
    by_difficulty = pocket.skill_table(cc.load(lambda text: "no idea"), items, by="difficulty")
    assert by_difficulty["accuracy"].sum() == 0.0


def test_options_are_verified_by_letter_or_text():
    (item,) = pocket.items(["choice"], 1, difficulty=1)
    letter = "ABCD"[item.choices.index(item.reference)]
    assert pocket.verified(letter, item)
    assert pocket.verified(item.reference, item)
    assert not pocket.verified("D" if letter != "D" else "A", item)


def test_answers_are_compared_without_steps_and_letters():
    asked = pocket.items(["choice", "siblings"], 2, seed=1)
    grader = pocket.grader()
    letters = ["ABCD"[item.choices.index(item.reference)] if item.choices else None for item in asked]
    outputs = pl.Series(
        [letter or f"a ; b ; answer : {item.reference}" for letter, item in zip(letters, asked, strict=True)]
    )
    answers = grader.answers(outputs, asked)
    assert answers.to_list() == asked.reference.to_list()
    assert grader.correct(answers, asked).to_list() == [True] * 4
    nothing = grader.answers(pl.Series([None, "", "A B", "steps ; answer :"], dtype=pl.String), asked)
    assert grader.correct(nothing, asked).to_list() == [False] * 4


def test_a_card_says_how_the_model_was_made():
    table = pl.DataFrame(
        {"skill": ["facts", "all"], "n": [4, 4], "accuracy": [0.5] * 2, "low": [0.2] * 2, "high": [0.8] * 2}
    )
    text = card(recipe("1m-chat-v1"), 3000, 1_041_792, table)
    assert "1,041,792 parameters" in text
    assert "from 1m-base" in text
    assert (
        "| facts | facts about people and cities, of one and two hops | 4 | 0.500 | 0.200 to 0.800 |" in text
    )


def test_a_name_that_does_not_ship():
    with pytest.raises(ModelError, match="no pocket model '1m-chat-v3' ships; did you mean 1m-chat-v"):
        cc.load("pocket:1m-chat-v3")


def test_asking_on_the_command_line():
    done = run("pocket", "ask", "what is 3 + 4 ?", "what is a quark ?", "-m", "1m-chat-v1")
    lines = done.stdout.splitlines()
    assert lines[0] == "what is 3 + 4 ?"
    assert lines[1].startswith("  ")
    assert "quark" in done.stderr
    (asked,) = json.loads(run("pocket", "ask", "what is 3 + 4 ?", "-n", "3", "--json").stdout)
    assert len(asked["answers"]) == 3


def test_the_skills_on_the_command_line():
    done = run("pocket", "skills", "-m", "250k-chat-v1", "-m", "250k-base", "-n", "3")
    assert "250k-chat-v1" in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines()[1:16]] == list(pocket.SKILLS)


def test_a_chat_model_is_known_by_its_files_whatever_its_folder_is_called(tmp_path):
    shutil.copytree(pocket.model_folder("250k-chat-v1"), tmp_path / "mine")
    asked = pocket.items(["facts", "counting"], 5, seed=2)
    answers = [
        pocket.load_pocket(name).respond(asked, Request(max_tokens=20))["output"].to_list()
        for name in ("250k-chat-v1", str(tmp_path / "mine"))
    ]
    assert answers[0] == answers[1]


def test_training_on_the_command_line(tmp_path):
    done = run("pocket", "train", "250k-chat-v1", tmp_path / "mine", "--tokens", "2000", "--seed", "7")
    assert "right over all skills" in done.stdout
    assert "seed 7" in (tmp_path / "mine" / CARD).read_text(encoding="utf-8")
    again = run("pocket", "train", "250k-chat-v1", tmp_path / "mine", code=2)
    assert "holds a model already" in again.stderr
    assert "did you mean 1m-base?" in run("pocket", "train", "1m-bse", tmp_path / "no", code=2).stderr
