"""Cases worked by hand, one or more a skill."""

from fractions import Fraction

import numpy as np
import pytest

from concordant.core.items import Items
from concordant.core.prompts import prompts
from concordant.pocket import SKILLS, Example, draw_world, spaced
from concordant.pocket.draws import zipf
from concordant.pocket.skills.countdown import value_of
from concordant.pocket.skills.programs import right_answers
from concordant.pocket.skills.twenty import informative, possible

PROGRAM = (
    "program : line 1 : x = 2 ; line 2 : y = 0 ; line 3 : repeat 2 times : ; line 4 : y = y + 3 ;"
    " line 5 : if y > 7 : ; line 6 : x = y + 1 ; line 7 : else : ; line 8 : x = x - 1 ; line 9 : print x ."
)


@pytest.mark.parametrize(
    ("skill", "prompt", "answer"),
    [
        ("arithmetic", "what is 17 - 9 ?", "8"),
        ("arithmetic", "what is 84 / 12 ?", "7"),
        ("worked", "work out 30 - 12 + 5 step by step .", "23"),
        ("ordering", "order from large to small : 3 , 71 , 20 .", "71 , 20 , 3"),
        ("ordering", "tom is smaller than mira . tom is taller than bob . who is number 2 from the top ?", "tom"),
        ("counting", "how many times does red occur in : red blue red ?", "2"),
        ("counting", "how many animals are in : dog red cat ?", "2"),
        # the variations of the paper: (3, 6) -> 7 and (4, 1) -> 2
        ("siblings", "alice has 3 brothers and 6 sisters . question : how many sisters does alice ' s brother have ?", "7"),
        ("siblings", "alice has 4 brothers and 1 sisters . question : how many sisters does alice ' s brother have ?", "2"),
        ("siblings", "alice has 3 brothers and 6 sisters . question : how many siblings does alice have ?", "9"),
        ("siblings", "bob has 3 brothers and 6 sisters . question : how many sisters does bob ' s brother have ?", "6"),
        ("siblings", "bob has 3 brothers and 6 sisters . question : how many brothers does bob ' s sister have ?", "4"),
        ("gambles", "left pays 20 for sure . right pays 50 with 30 % . which pays more on average ?", "left"),
        ("countdown", "use 3 5 to make 8 .", "3 + 5"),
        (
            "styles",
            "please be polite . which colours do you see in : dog red ?",
            "of course , with pleasure : red . please ask me again",
        ),
    ],
)  # fmt: skip
def test_solved_by_hand(skill, prompt, answer):
    assert SKILLS[skill].solve(prompt) == answer
    assert SKILLS[skill].verify(prompt, answer)


@pytest.mark.parametrize(
    ("question", "right"),
    [
        ("is line 6 run ?", ["no"]),
        ("is line 8 run ?", ["yes"]),
        ("what is y after line 4 ?", ["3", "6"]),
        ("which line is run after line 4 ?", ["3", "3"]),
        ("which line is run after line 6 ?", ["nothing"]),
        ("what is x after line 8 ?", ["1"]),
        ("what is printed ?", ["1"]),
    ],
)
def test_a_program_by_hand(question, right):
    prompt = f"{PROGRAM} question : {question}"
    assert right_answers(prompt) == right
    assert all(SKILLS["programs"].verify(prompt, answer) for answer in right)


def test_programs_run_as_python_runs_them():
    rng = np.random.default_rng(1)
    for _ in range(100):
        example = SKILLS["programs"].generate_group(rng, 3)[-1]
        said = example.group.removeprefix("program : ").removesuffix(" .").split(" ; ")
        lines = [line.split(" : ", 1)[1] for line in said]
        source = ""
        inside = False
        for line in lines:
            line = line.replace(" :", ":")
            if line.startswith("repeat"):
                line = f"for _ in range({line.split()[1]}):"
            if line.startswith("print"):
                line = f"shown = {line.split()[1]}"
            source += f"{'    ' if inside else ''}{line}\n"
            inside = line.endswith(":")
        state = {}
        exec(source, state)  # our own generated text of five kinds of lines
        assert str(state["shown"]) == example.answer


@pytest.mark.parametrize(
    ("state", "answers"),
    [("open", ("yes", "return the tea", "no")), ("closed", ("no", "drink the tea", "yes"))],
)
def test_a_story_by_hand(state, answers):
    story = f"story : the tea in the box is bad . the box is {state} . mira takes the box . question :"
    questions = (
        "is mira likely to know that the tea is bad ?",
        "what will mira do next ?",
        "mira drinks the tea . is that reasonable ?",
    )
    assert tuple(SKILLS["beliefs"].solve(f"{story} {question}") for question in questions) == answers


def test_the_prisoners_dilemma():
    rules = (
        "if you play J and the other plays J , you get 8 and the other gets 8 . "
        "if you play J and the other plays F , you get 0 and the other gets 10 . "
        "if you play F and the other plays J , you get 10 and the other gets 0 . "
        "if you play F and the other plays F , you get 5 and the other gets 5 ."
    )
    solve = SKILLS["games"].solve
    assert solve(f"{rules} the other plays J . which move is best for you ?") == "F"
    assert solve(f"{rules} you play J . which move is best for the other ?") == "F"
    assert solve(f"{rules} you play J and the other plays F . how much does the other get ?") == "10"
    assert solve(f"{rules} you play J and the other plays F . how much do you get ?") == "0"


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("( 8 - 2 ) * 4", True),
        ("4 * (8 - 2) = 24", True),
        ("8 * 4 - 2 * 4", False),  # 4 twice
        ("8 - 2 * 4", False),  # products first: 0
        ("( 8 - 2 ) * 4 = 25", False),
        ("24", False),
        ("8 * ( 4 / 2", False),
        ("8 / ( 4 - 4 ) * 2", False),
        ("8 2 4", False),
    ],
)
def test_countdown_takes_any_right_expression(answer, right):
    assert SKILLS["countdown"].verify("use 8 2 4 to make 24 .", answer) is right


def test_expressions_are_exact():
    assert value_of("1 / 3 + 1 / 3 + 1 / 3") == 1
    assert value_of("8 - 3 - 2") == 3
    assert value_of("8 / 3") == Fraction(8, 3)


def test_twenty_questions_with_the_table_of_the_world():
    table = draw_world(0).qualities
    assert possible("is it big ? yes .") == {
        thing for thing, true_of_it in table.items() if "big" in true_of_it
    }
    everything = " ".join(f"is it {q} ? {'yes' if q in table['moon'] else 'no'} ." for q in informative(""))
    assert possible(everything) == {"moon"}
    assert SKILLS["twenty"].solve(f"{everything} what is it ?") == "moon"
    assert not SKILLS["twenty"].verify(
        "is it big ? yes . what do you ask next ?", "is it big ?"
    )  # tells nothing


@pytest.mark.parametrize(
    ("style", "answer", "right"),
    [
        ("be brief .", "red , blue", True),
        ("be brief .", "blue , red", True),
        ("be brief .", "red ! blue !", False),
        ("be loud .", "red ! blue !", True),
        ("be loud .", "red ! blue ! dog !", False),
        ("make a list .", "(1) red (2) blue", True),
        ("make a list .", "(1) red (3) blue", False),
        ("please be polite .", "thank you for asking : red , blue . have a nice day .", True),
        ("please be polite .", "red , blue", False),
    ],
)
def test_styles_by_hand(style, answer, right):
    prompt = f"{style} which colours do you see in : red dog blue ?"
    assert SKILLS["styles"].verify(prompt, answer) is right


def test_a_user_is_satisfied_by_right_answers_only():
    verify = SKILLS["dialogues"].verify
    right, wrong = (f"user : what is 3 + 4 ? helper : {n} . what does the user say next ?" for n in (7, 8))
    assert verify(right, "thank you, that is right.")
    assert not verify(right, "bad answer , try again")
    assert verify(wrong, "bad answer , try again")
    assert not verify(wrong, "thank you , that is right")


def test_facts_follow_the_world():
    world = draw_world(0)
    solve = SKILLS["facts"].solve
    friend = world.friend["mira"]
    assert solve("where does mira live ?") == world.city["mira"]
    assert solve("what is the job of the best friend of mira ?") == world.job[friend]
    assert solve("in which country does mira live ?") == world.country[world.city["mira"]]
    assert solve("do mira and mira have the same pet ?") == "yes"


@pytest.mark.parametrize(
    ("skill", "prompt", "answer", "right"),
    [
        ("arithmetic", "what is 3 + 4 ?", "3 + 4 = 7", True),
        ("arithmetic", "what is 3 + 4 ?", "2 + 5 = 7", False),
        ("arithmetic", "what is 3 + 4 ?", "3 + 4 = 8", False),
        (
            "worked",
            "work out 9 - 2 + 1 step by step .",
            "9 - 2 = 7 ; 7 + 1 = 8 ; answer : 9 - 2 + 1 = 8",
            True,
        ),
        ("worked", "work out 9 - 2 + 1 step by step .", "7", False),
        # the city of emma is athens, her best friend another
        ("facts", "where does emma live ?", "Emma lives in Athens.", True),
        ("facts", "emma lives in", "athens", True),
        ("facts", "where does emma live ?", "ivan lives in athens", False),
        ("facts", "where does emma live ?", "not athens", False),
    ],
)
def test_right_answers_in_sentences(skill, prompt, answer, right):
    assert SKILLS[skill].verify(prompt, answer) is right


def test_worlds_are_drawn_from_their_seed():
    draw_world.cache_clear()
    first = draw_world(0)
    draw_world.cache_clear()
    assert first == draw_world(0) != draw_world(1)
    assert all(friend != person for person, friend in first.friend.items())
    assert len(set(first.qualities.values())) == len(first.qualities) == 64
    # [(p, draw_world(0).city[p]) for p in draw_world(0).people[:3]], which released models depend on
    assert [(person, first.city[person]) for person in first.people[:3]] == GOLDEN


GOLDEN = [("emma", "athens"), ("ivan", "lagos"), ("sofia", "quito")]


def test_frequencies_follow_zipf():
    rng = np.random.default_rng(0)
    drawn = [zipf(rng, "abcd") for _ in range(6000)]
    harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4
    for rank, letter in enumerate("abcd", 1):
        share = 1 / rank / harmonic
        assert abs(drawn.count(letter) / 6000 - share) < 4 * (share * (1 - share) / 6000) ** 0.5


def test_options_are_written_as_the_toolkit_asks_them():
    example = Example("which is red ?", "blue", "choice", 1, choices=("red", "blue", "pink"))
    items = Items.from_records([{"input": example.prompt, "choices": list(example.choices)}])
    assert example.asked() == spaced(prompts(items)[0])
    assert example.messages() == [
        {"role": "user", "content": example.asked()},
        {"role": "assistant", "content": "B"},
    ]
