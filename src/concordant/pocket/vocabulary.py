"""The closed vocabulary of the pocket world: every word that any skill writes, one token each.

Numbers from 0 to 100 are words of their own, not strings of digits: a sum is then one answer token to learn,
a text is short, and an option that is a number has the same length as any other.
"""

# ruff: noqa: SIM905  a word list is read and diffed as words, not as quoted strings

from __future__ import annotations

import re

SPECIAL = ("<pad>", "<bos>", "<eos>", "<user>", "<assistant>", "<system>", "<unk>")
"""The special tokens, whose ids are their positions here."""

LETTERS = tuple("ABCDFJ")
"""The only capitals: letters of options (A to D) and of moves in games (J and F)."""

MARKS = (".", ",", "?", "!", ":", ";", "(", ")", "+", "-", "*", "/", "=", ">", "<", "%", "'")
NUMBERS = tuple(str(n) for n in range(101))

WOMEN = tuple(
    "mira anna lena rosa clara nora ida ella maya lucy jane ruth vera olga tessa alice "
    "emma sara eva julia marta helen irene dora paula nina greta sofia amy kate lily zoe".split()
)
MEN = tuple(
    "tom bob carl omar ivan hugo paul leo max otto finn noah adam john peter simon "
    "frank karl luke mark oscar sam theo victor walter henry george david eric felix ben abel".split()
)
CITIES = tuple(
    "oslo bergen lyon paris rome milan turin berlin bonn kiel madrid cadiz athens cairo giza lagos "
    "lima cusco quito delhi agra tokyo osaka kyoto seoul hanoi boston dallas denver sydney perth tunis".split()
)
COUNTRIES = tuple("norway france italy germany spain egypt peru india japan america".split())
JOBS = tuple(
    "baker doctor teacher farmer driver nurse lawyer painter singer pilot "
    "judge sailor tailor gardener barber miner poet dentist plumber butcher".split()
)
PETS = tuple("dog cat horse parrot rabbit goat snake turtle mouse duck".split())
COLOURS = tuple("red blue green yellow black white brown pink grey orange".split())
THINGS = tuple(
    "apple ball bell bird boat book bottle brick bus candle car chair clock cloud coat coin "
    "cup desk door drum egg fish flower fork glove guitar hammer hat house kite knife lamp "
    "leaf lemon map moon nail pear pen piano pipe plane plate ring river robot rock rope "
    "ship shoe spoon star stone sun sword table tent tower train tree truck violin wheel window".split()
)
QUALITIES = tuple("big heavy round soft old loud bright useful cheap alive wooden fast".split())

GLUE = tuple(
    """
    a about add after again all am an and animal animals answer are as ask asked asking at aunt average
    bad bag be beans because best better big bigger bottle box boy boys bread brief brother brothers but
    by bye can carefully certain check child children cities city clear closed colour colours correct
    could country course cousin cousins daughter day did dirty do does done down drink drinks due each
    easy eat eats else equal equals ever every everyone example explain false father few final find first
    for found friend friends from game gave get gets girl girls give go going gone good got great guess
    happy hard has have he hello help helper helps her here high higher hint his home honey hour how i
    idea if in into is it its jam jar job jobs juice just know knows large last least left less let letter
    like likely likes line list live lives look looks low lower make making many maybe me means might milk
    min minus money more most mother move much must my name names need never new next nice no nobody none
    not nothing now number nuts occur of off often on once one ones only open opinion option order other
    others our out over own parents part pays perfect person pet play plays please pleasure plus polite
    possible prefer print printed problem program put question questions quite rather reads really reason
    reasonable remember repeat result return returns rice right risk rotten rule rules run s sad safe said
    same say second see seem shall she short should show siblings side sign simple since sister sisters
    situation small smaller smallest so some someone something sometimes son soon sorry soup sour start
    state statement stay step still stop story such sum sure take takes tall taller tallest task tea tell
    tells tens test text than thank that the them then there these they thing things think third this
    those thought time times to today together told tomorrow too top total town track true trust try two
    uncle under understand until up us use used user value very view wait want was way we week well were
    what when where which while who why will win wish with without word words work works world would write
    wrong x y year yes yesterday you your zero
""".split()
)
"""The words between the names, in alphabetical order; some wait for the rewordings of later studies."""

WORDS = tuple(
    dict.fromkeys(
        (
            *MARKS, *LETTERS, *NUMBERS, *GLUE, *WOMEN, *MEN, *CITIES, *COUNTRIES,
            *JOBS, *PETS, *COLOURS, *THINGS, *QUALITIES,
        )
    )
)  # fmt: skip
"""Every word, each once."""

VOCABULARY = {word: i for i, word in enumerate((*SPECIAL, *WORDS))}
"""The id of every token; a released model depends on it, so words may only be added at the end."""

CAPITAL = r"[A-Z](?=[a-z])"
TOKEN = r"<[a-z]+>|[A-Z](?![a-z])|[A-Za-z][a-z]*|[0-9]+|[^\sA-Za-z0-9]"


def words(text: str) -> list[str]:
    """Return the words of a text as the tokenizer cuts it.

    White space only separates; a capital that begins a longer word counts as small, one that stands alone is
    the letter of an option.

    Examples
    --------
    >>> words("What is 3+4?  A. Oslo")
    ['what', 'is', '3', '+', '4', '?', 'A', '.', 'oslo']
    """
    small = re.sub(CAPITAL, lambda match: match[0].lower(), text)
    return re.findall(TOKEN, small)


def spaced(text: str) -> str:
    """Return a text with exactly one space between its words, which is how the tokenizer writes it again.

    Examples
    --------
    >>> spaced("What is 3+4?")
    'what is 3 + 4 ?'
    """
    return " ".join(words(text))


def unknown_words(text: str) -> list[str]:
    """Return the words of a text that the vocabulary lacks, each once.

    Examples
    --------
    >>> unknown_words("What does Mira think of quarks and of 200 quarks?")
    ['quarks', '200']
    """
    return [word for word in dict.fromkeys(words(text)) if word not in VOCABULARY]
