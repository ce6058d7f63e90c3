"""What a sprite's tags are called: synonyms and sentence shapes. Nothing is said that is not in the tags.

`caption` says tags in words, `parse` reads them back out of any text.
"""

import re
from collections.abc import Mapping
from functools import cache

COLOUR_WORDS = {
    "neutral": ("grey", "silver"),
    "brown": ("brown", "tan", "chestnut"),
    "red": ("red", "crimson", "scarlet"),
    "orange": ("orange", "amber"),
    "yellow": ("yellow", "golden"),
    "green": ("green", "emerald"),
    "teal": ("teal", "turquoise"),
    "blue": ("blue", "azure"),
    "purple": ("purple", "violet"),
}
WHITE = ("white", "silver")  # what neutral is called in LIGHT_ZONES
LIGHT_ZONES = ("shallows", "hadal")  # where the neutral ramp is drawn in its lightest steps
PATTERN_WORDS = {
    "plain": ("plain",),
    "stripes": ("striped", "with stripes"),
    "spots": ("spotted", "with spots"),
    "bands": ("banded", "with bands"),
}
ZONE_WORDS = {
    "shallows": ("from the shallows", "in shallow water"),
    "twilight": ("from the twilight zone", "from the dim twilight"),
    "midnight": ("from the midnight zone", "from the dark midnight"),
    "abyss": ("from the abyss", "from the abyssal plain"),
    "hadal": ("from the hadal zone", "from a hadal trench"),
}
CATEGORY_WORDS = {
    "reef_fish": ("reef fish",),
    "grazer": ("reef grazer", "grazer"),
    "coral": ("coral",),
    "jellyfish": ("jellyfish", "jelly"),
    "cephalopod": ("cephalopod",),
    "abyssal": ("abyssal creature", "deep-sea creature"),
}
PLAN_WORDS = {
    "pufferfish": ("pufferfish", "puffer"),
    "stingray": ("stingray", "ray"),
    "moray eel": ("moray eel", "moray"),
    "sea turtle": ("sea turtle", "turtle"),
    "sea urchin": ("sea urchin", "urchin"),
    "sea slug": ("sea slug", "nudibranch"),
    "sea snail": ("sea snail", "snail"),
    "sea star": ("sea star", "starfish"),
    "sea anemone": ("sea anemone", "anemone"),
    "staghorn coral": ("staghorn coral", "branching coral"),
    "man o' war": ("man o' war", "portuguese man o' war"),
    "moon jelly": ("moon jelly", "moon jellyfish"),
    "box jelly": ("box jelly", "box jellyfish"),
    "lion's mane": ("lion's mane", "lion's mane jellyfish"),
    "anglerfish": ("anglerfish", "angler fish"),
    "gulper eel": ("gulper eel", "gulper"),
    "giant isopod": ("giant isopod", "isopod"),
    **{plan: (plan,) for plan in (
        "clownfish", "angelfish", "butterflyfish", "barracuda", "seahorse", "lionfish", "parrotfish", "surgeonfish", "manatee",
        "crab", "brain coral", "table coral", "sea fan", "tube sponge", "mushroom coral", "pillar coral", "whip coral",
        "sea nettle", "crown jelly", "barrel jelly", "comb jelly", "lantern jelly", "octopus", "dumbo octopus", "vampire squid",
        "squid", "cuttlefish", "nautilus", "bobtail squid", "tube worm", "snailfish", "sea pig", "viperfish", "hatchetfish",
        "brittle star",
    )},
}  # fmt: skip
SIZE_WORDS = {"small": ("small", "tiny", "little"), "medium": ("medium-sized", "mid-sized"), "large": ("large", "big")}
GLOW_WORDS = {"yes": ("glowing", "bioluminescent", "luminous"), "no": ("",)}
FACING_WORDS = {
    "left": ("facing left", "looking left", "turned left"),
    "right": ("facing right", "looking right", "turned right"),
    "up": ("facing up", "pointing up"),
    "down": ("facing down", "pointing down"),
    "front": ("seen from the front", "facing the viewer"),
}
POSE_WORDS = {
    "level": ("", "", "", "swimming level"),
    "rising": ("swimming upwards", "nose up", "rising"),
    "diving": ("swimming downwards", "nose down", "diving"),
    "open": ("with its bell open", "with an open bell"),
    "pulsing": ("pulsing", "with its bell drawn in"),
    "spread": ("spread out", "with its arms spread", "with outspread arms"),
    "curled": ("curled up", "with its arms curled", "with curled arms"),
    "upright": ("standing upright", "upright"),
    "swaying": ("swaying", "swaying in the current"),
    "claws raised": ("with its claws raised", "with raised claws", "claws up"),
    "claws lowered": ("with its claws lowered", "with lowered claws", "claws down"),
    "puffed": ("puffed up", "inflated"),
    "calm": ("calm", "not puffed up"),
}
WORDS: dict[str, Mapping[str, tuple[str, ...]]] = {
    "plan": PLAN_WORDS, "category": CATEGORY_WORDS, "zone": ZONE_WORDS, "colour": COLOUR_WORDS, "second_colour": COLOUR_WORDS,
    "pattern": PATTERN_WORDS, "facing": FACING_WORDS, "size": SIZE_WORDS, "glow": GLOW_WORDS, "pose": POSE_WORDS,
}  # fmt: skip
# How often a caption states each attribute.
STATED = {
    "plan": 0.7, "category": 0.35, "zone": 0.55, "colour": 0.8, "second_colour": 0.35, "pattern": 0.6, "facing": 0.5,
    "size": 0.35, "glow": 0.6, "pose": 0.35,
}  # fmt: skip
MAX_WORDS = 15
NOUNS = {"striped": "stripes", "spotted": "spots", "banded": "bands"}


def caption(tags: Mapping[str, str], dice) -> str:
    """A short lower-case description that states a random part of the tags.

    dice: anything with `pick(sequence)` and `chance(probability)`; its rolls decide subset, synonyms and sentence shape.
    """
    stated = {key for key, share in STATED.items() if dice.chance(share)}
    words = {key: dice.pick(synonyms(key, tags)) for key in STATED}
    if not stated & {"plan", "category"}:
        stated.add("category" if dice.chance(0.6) else "plan")
    if dice.chance(0.5) and {"plan", "category"} <= stated:
        stated.discard("category")
    shape = dice.pick({_sentence: 5, _list: 2, _with: 2})
    text = shape(words, stated)
    while len(text.split()) > MAX_WORDS:
        stated.discard(next(key for key in ("size", "pose", "facing", "second_colour", "zone", "glow") if key in stated))
        text = shape(words, stated)
    return text


def synonyms(key: str, tags: Mapping[str, str]) -> tuple[str, ...]:
    """All the ways to state one tag of a sprite; an empty string where there is nothing to say."""
    value = tags[key]
    if value == "neutral" and tags["zone"] in LIGHT_ZONES:
        return WHITE
    return WORDS[key].get(value, (value,))


def _parts(words: Mapping[str, str], stated: set[str]) -> dict[str, str]:
    return {key: words[key] if key in stated else "" for key in words}


def _subject(said: Mapping[str, str]) -> str:
    """The noun; species and category side by side read as an apposition."""
    return said["plan"] or said["category"]


def _colours(said: Mapping[str, str]) -> str:
    return " and ".join(filter(None, [said["colour"], said["second_colour"] if said["colour"] else ""]))


def with_article(text: str) -> str:
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def _join(*words: str) -> str:
    return " ".join(filter(None, words))


def _sentence(words: Mapping[str, str], stated: set[str]) -> str:
    """'a small glowing striped orange clownfish from the abyss facing left, nose up'"""
    said = _parts(words, stated)
    pattern, after = (said["pattern"], "") if not said["pattern"].startswith("with") else ("", said["pattern"])
    thing = _join(said["size"], said["glow"], pattern, _colours(said), _subject(said), after, said["zone"], said["facing"])
    kind = with_article(said["category"]) if said["plan"] and said["category"] else ""
    return ", ".join(filter(None, [with_article(thing), kind, said["pose"]]))


def _list(words: Mapping[str, str], stated: set[str]) -> str:
    """'reef fish, spotted, yellow and blue, facing right'"""
    said = _parts(words, stated)
    head = [said["category"], said["plan"]] if said["plan"] and said["category"] else [_subject(said)]
    rest = [said["pattern"], _colours(said), *(said[key] for key in ("glow", "size", "pose", "facing", "zone"))]
    return ", ".join(filter(None, [*head, *rest]))


def _with(words: Mapping[str, str], stated: set[str]) -> str:
    """'glowing purple octopus curled up with teal spots from the midnight zone'"""
    said = _parts(words, stated)
    name = said["pattern"].removeprefix("with ")
    noun = NOUNS.get(name, name)
    marks = ""
    if noun and noun != "plain":
        marks = _join("and" if said["pose"].startswith("with") else "with", said["second_colour"], noun)
    body = _join(said["size"], said["glow"], "plain" if noun == "plain" else "", said["colour"], _subject(said))
    text = _join(body, said["pose"], marks, said["facing"], said["zone"])
    return f"{said['category']}: {text}" if said["plan"] and said["category"] else text


def parse(caption: str) -> dict[str, str]:
    """The tags that a text states, by the words that captions are made of; what it does not know it passes over.

    The first statement of a key counts, longer phrases before shorter ones. The first colour is `colour` and the next one
    `second_colour`, which is also the colour of what the animal is 'with'.
    """
    text, tags = " ".join(caption.lower().split()), {}
    for match in _phrases().finditer(text):
        key, value = _meanings()[match[0]]
        if key == "colour" and ("colour" in tags or _adorns(text, match)):
            key = "second_colour"
        tags.setdefault(key, value)
    return tags


def _adorns(text: str, colour: re.Match) -> bool:
    """Whether a colour is that of the marks: 'with teal spots'."""
    is_after_with = re.search(r"\bwith $", text[: colour.start()])
    return bool(is_after_with or re.match(rf"\W*(?:{'|'.join(NOUNS.values())})\b", text[colour.end() :]))


@cache
def _meanings() -> dict[str, tuple[str, str]]:
    """Phrase → (key, value)."""
    said = {way: (key, value) for key in WORDS if key != "second_colour" for value, ways in WORDS[key].items() for way in ways}
    bare = {value: (key, value) for key in ("zone", "pattern") for value in WORDS[key]}
    return {phrase: meaning for phrase, meaning in {**bare, **said, WHITE[0]: ("colour", "neutral")}.items() if phrase}


@cache
def _phrases() -> re.Pattern:
    """Every phrase as whole words, the longest first."""
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(_meanings(), key=len, reverse=True)))})(?!\w)")
