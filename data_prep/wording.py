"""What a sprite's tags are called: synonyms and sentence shapes. Nothing is said that is not in the tags."""

from collections.abc import Mapping

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
LIGHT_ZONES = ("shallows", "hadal")  # where the neutral ramp is drawn in its lightest steps
PATTERN_WORDS = {
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
}
SIZE_WORDS = {"small": ("small", "tiny", "little"), "medium": ("medium-sized", "mid-sized"), "large": ("large", "big")}
GLOW_WORDS = {"yes": ("glowing", "bioluminescent", "luminous"), "no": ("",)}
FACING_WORDS = {
    "left": ("facing left", "looking left", "turned left"),
    "right": ("facing right", "looking right", "turned right"),
    "up": ("facing up", "pointing up"),
    "down": ("facing down", "pointing down"),
    "front": ("seen from the front", "facing the viewer"),
}
WORDS = {
    "plan": PLAN_WORDS, "category": CATEGORY_WORDS, "zone": ZONE_WORDS, "colour": COLOUR_WORDS, "second_colour": COLOUR_WORDS,
    "pattern": PATTERN_WORDS, "facing": FACING_WORDS, "size": SIZE_WORDS, "glow": GLOW_WORDS,
}  # fmt: skip
# How often a caption states each attribute.
STATED = {
    "plan": 0.7, "category": 0.35, "zone": 0.55, "colour": 0.8, "second_colour": 0.35, "pattern": 0.6, "facing": 0.5,
    "size": 0.35, "glow": 0.6,
}  # fmt: skip
MAX_WORDS = 15


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
        stated.discard(next(key for key in ("size", "facing", "second_colour", "zone", "glow") if key in stated))
        text = shape(words, stated)
    return text


def synonyms(key: str, tags: Mapping[str, str]) -> tuple[str, ...]:
    """All the ways to state one tag of a sprite; an empty string where there is nothing to say."""
    value = tags[key]
    if value == "neutral" and tags["zone"] in LIGHT_ZONES:
        return ("white", "silver")
    return WORDS[key].get(value, (value,))


def _parts(words: Mapping[str, str], stated: set[str]) -> dict[str, str]:
    return {key: words[key] if key in stated else "" for key in words}


def _subject(said: Mapping[str, str]) -> str:
    """The noun; species and category side by side read as an apposition."""
    return said["plan"] or said["category"]


def _colours(said: Mapping[str, str]) -> str:
    return " and ".join(filter(None, [said["colour"], said["second_colour"] if said["colour"] else ""]))


def _article(text: str) -> str:
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def _join(*words: str) -> str:
    return " ".join(filter(None, words))


def _sentence(words: Mapping[str, str], stated: set[str]) -> str:
    """'a small glowing striped orange clownfish from the abyss facing left'"""
    said = _parts(words, stated)
    pattern, after = (said["pattern"], "") if not said["pattern"].startswith("with") else ("", said["pattern"])
    text = _article(
        _join(said["size"], said["glow"], pattern, _colours(said), _subject(said), after, said["zone"], said["facing"])
    )
    return f"{text}, {_article(said['category'])}" if said["plan"] and said["category"] else text


def _list(words: Mapping[str, str], stated: set[str]) -> str:
    """'reef fish, spotted, yellow and blue, facing right'"""
    said = _parts(words, stated)
    head = [said["category"], said["plan"]] if said["plan"] and said["category"] else [_subject(said)]
    return ", ".join(
        filter(None, [*head, said["pattern"], _colours(said), said["glow"], said["size"], said["facing"], said["zone"]])
    )


def _with(words: Mapping[str, str], stated: set[str]) -> str:
    """'glowing purple jellyfish with teal spots from the midnight zone'"""
    said = _parts(words, stated)
    name = said["pattern"].removeprefix("with ")
    noun = {"striped": "stripes", "spotted": "spots", "banded": "bands"}.get(name, name)
    marks = ""
    if noun and noun != "plain":
        marks = _join("with", said["second_colour"], noun)
    body = _join(said["size"], said["glow"], "plain" if noun == "plain" else "", said["colour"], _subject(said))
    text = _join(body, marks, said["facing"], said["zone"])
    return f"{said['category']}: {text}" if said["plan"] and said["category"] else text
