"""What the zone decides: which ramps, how dark, how big the eyes, what glows. `Look` is one sprite's share of it."""

from dataclasses import dataclass

from data_prep.sources.reef.dice import Dice
from data_prep.sources.reef.pen import DARK, MAIN, PALE, SECOND

PATTERNS = {"plain": 3, "stripes": 2, "spots": 2, "bands": 2}


@dataclass(frozen=True)
class Zone:
    """base: step of the lit body (0 dark … 6 light); contrast: steps from shadow to light; line: step of the outline.

    colours: weight of each ramp as main colour, the same for all categories, so that colour does not give them away.
    """

    base: float
    contrast: float
    line: int
    rim: int  # how much lighter the outline is where the light falls
    glow: float  # probability
    eye: float  # size of eyes, 1 = shallows
    teeth: float  # probability, where a plan has jaws
    trail: float  # length of filaments, tails and arms
    slim: float  # height of bodies
    bare: float  # probability of no outline
    colours: dict[str, float]


ZONES = {
    "shallows": Zone(4.3, 1.35, 1, 1, 0.05, 1.0, 0.0, 0.9, 1.06, 0.0,
        {"brown": 0.7, "red": 1.2, "orange": 1.5, "yellow": 1.5, "green": 1, "teal": 1, "blue": 1.3, "purple": 1}),
    "twilight": Zone(2.7, 1.2, 0, 1, 0.2, 1.25, 0.1, 1.0, 0.98, 0.0,
        {"brown": 0.4, "red": 0.6, "orange": 0.3, "yellow": 0.3, "green": 0.7, "teal": 1.6, "blue": 2.4, "purple": 1.3}),
    "midnight": Zone(1.5, 1.1, 0, 2, 0.8, 1.5, 0.9, 1.1, 0.94, 0.0,
        {"brown": 1, "red": 1.3, "orange": 0.5, "yellow": 0.3, "green": 0.7, "teal": 0.9, "blue": 1.5, "purple": 1.5}),
    "abyss": Zone(2.0, 1.5, 0, 3, 0.5, 1.2, 0.7, 1.35, 0.86, 0.0,
        {"brown": 1, "red": 1.6, "orange": 1, "yellow": 0.4, "green": 0.5, "teal": 0.8, "blue": 0.9, "purple": 1.5}),
    "hadal": Zone(5, 1.1, 3, 1, 0.25, 0.7, 0.1, 1.15, 1.0, 0.35,
        {"brown": 0.9, "red": 1.6, "orange": 1.3, "yellow": 1, "green": 0.4, "teal": 0.7, "blue": 0.9, "purple": 1.1}),
}  # fmt: skip
EXTENT = {"small": (0.64, 0.70), "medium": (0.77, 0.86), "large": (0.92, 1.0)}  # longer side over the frame's
SWIMMING = {"level": 3, "rising": 1, "diving": 1}  # poses that turn the whole body, in side views only
SLOPE = {"rising": (0.35, 0.49), "diving": (-0.49, -0.35)}  # radians, nose up positive: 20 to 28 degrees
SIZE_WEIGHTS = {"small": 2, "medium": 2, "large": 4}


@dataclass(frozen=True)
class Look:
    """One sprite's style. main, second and glow are ramp names; the plan reads size, detail and the proportions."""

    zone: str
    size: int
    main: str
    second: str
    light: str
    pattern: str
    facing: str
    pose: str  # one of the plan's poses; '' where it has none
    extent: float
    glow: bool
    teeth: bool
    outline: bool
    ink: bool  # outline in the neutral ramp instead of the body's own
    base: float
    lift: float  # how much lighter the second colour is than the main one
    period: int  # pixels from one stripe to the next
    phase: float
    bend: float
    eye: float
    trail: float
    slim: float
    stretch: float  # width of the model over its drawn width
    arch: float  # how far nose and tail bend down (up where negative), model units
    tilt: float  # radians, nose up positive; in side views
    white: int  # hue of eyeballs and teeth
    black: int  # hue of pupils and mouths

    @property
    def detail(self) -> int:
        """0 up to 16 pixels, 1 up to 24, 2 above: how much anatomy there is room for."""
        return (self.size > 16) + (self.size > 24)

    @property
    def settings(self) -> Zone:
        return ZONES[self.zone]


def _lift(lift: float, second: str, base: float) -> float:
    """The second colour stands off the first: white and grey are light everywhere, nothing goes below a dark body."""
    if second == "neutral":
        return 1.0 if base > 3.5 else 2.0
    return lift if base > 2.5 else 1.0


def _pose(dice: Dice, poses, facing: str) -> str:
    """One of the poses, '' where there are none or where it could not be seen: who swims up or down is not level."""
    pose = dice.pick(poses) if poses else ""
    return "" if pose in SWIMMING and facing not in ("left", "right") else pose


def choose(dice: Dice, zone: str, facings, patterns, poses, size: int) -> Look:
    """The style of one sprite; the same choices in the same order for every plan."""
    settings = ZONES[zone]
    main = dice.pick(settings.colours)
    rest = {**settings.colours, "neutral": 1.6}
    second = dice.pick({name: weight + 0.3 for name, weight in rest.items() if name != main})
    bright = {"teal": 2, "blue": 2, "green": 1.5, "yellow": 1.5, "purple": 1, "orange": 0.5, "red": 0.5}
    light = dice.pick({name: weight for name, weight in bright.items() if name not in (main, second)})
    pattern = dice.pick({name: PATTERNS[name] for name in patterns})
    extent = dice.span(*EXTENT[dice.pick(SIZE_WEIGHTS)])
    glow = dice.chance(settings.glow)
    coarse = {16: (3, 4), 24: (4, 6)}.get(size, (max(4, size // 8), max(4, size // 4)))
    facing = dice.pick(facings)
    pose = _pose(dice, poses, facing)
    calm = 0.75 if size <= 16 else 1.0  # few pixels tilt badly
    return Look(
        zone=zone, size=size, main=main, second=second, light=light, pattern=pattern,
        facing=facing, pose=pose, extent=extent, glow=glow, teeth=dice.chance(settings.teeth),
        outline=not dice.chance(settings.bare * (0.4 if size <= 16 else 1)), ink=dice.chance(0.2 if settings.line < 2 else 0.0),
        base=settings.base - (glow and settings.base > 3) * 0.5 + dice.span(-0.55, 0.55),
        lift=_lift(dice.pick([1.0, 1.0, -1.0]), second, settings.base),
        period=dice.count(*coarse), phase=dice.roll(), bend=dice.span(0, 0.35), eye=settings.eye * dice.span(0.9, 1.1),
        trail=settings.trail * dice.span(0.85, 1.15), slim=settings.slim * dice.span(0.92, 1.08),
        stretch=dice.span(0.84, 1.18), arch=calm * dice.span(-0.17, 0.17),
        tilt=dice.span(*SLOPE.get(pose, (-0.17 * calm, 0.17 * calm))),
        white=dice.pick({PALE: 3, MAIN: 2, SECOND: 2}), black=dice.pick([DARK, MAIN]),
    )  # fmt: skip
