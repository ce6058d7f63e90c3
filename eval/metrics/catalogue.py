"""The metrics of a drawing: names in scores.jsonl, words for reports, which direction is better."""

from dataclasses import dataclass

from eval.metrics import legacy


@dataclass(frozen=True)
class Metric:
    """direction: 'higher', 'lower', or 'near' where nearer to the held-out sprites' value is better.

    group: judged, described, format, cost or legacy; unit: '%' (the value is a share), 's' or ''.
    """

    name: str
    label: str
    group: str
    direction: str
    unit: str
    says: str


_JUDGED = (  # the headline of a report is the first of them that is sane
    ("recognised", "recognised", "higher", "the judge takes it for a sprite and names the category asked for"),
    ("judge_score", "judge's score", "higher", "probability of being a sprite times probability of the category asked for"),
    ("recognised_in_colour", "recognised, right colour", "higher", "recognised and in the right colour at once"),
    (
        "judge_quality",
        "judged a sprite",
        "higher",
        "the judge's probability that it is a sprite and not a degenerate drawing; it does not ask of what",
    ),
    ("zone_right", "right zone", "higher", "the judge names the zone asked for"),
    ("zone_right_scrambled", "right zone, hues scrambled", "higher", "the same without the help of hues"),
    ("sprite_like_in_colour", "sprite-like, right colour", "higher", "sprite-like and in the right colour at once"),
    ("sprite_like", "sprite-like", "higher", "shape statistics as usual as those of 95 % of the training sprites"),
    (
        "colour_right",
        "right colour",
        "higher",
        "main hue is the colour that the caption asks for; captions without a colour do not count",
    ),
    ("empty", "empty", "lower", "less than 2 % opaque pixels"),
    ("duplicate", "repeated", "lower", "equals an earlier drawing of the same generator"),
    ("nearest_training", "nearest training sprite", "near", "pixels shared with the nearest training sprite; 100 % is a copy"),
    (
        "nearest_training_features",
        "nearest training sprite, to the judge",
        "near",
        "likeness (cosine) of the judge's features to the nearest training sprite's; also sees copies in other colours",
    ),
)
_DESCRIBED = (
    ("opaque_share", "opaque", "opaque pixels"),
    ("size_in_frame", "size in frame", "longer side of the bounding box over the frame's"),
    ("largest_component", "in one piece", "opaque pixels in the largest connected shape"),
    ("speckle", "speckle", "opaque pixels without a neighbour of their colour"),
    ("neighbour_agreement", "equal neighbours", "neighbouring pixels of one colour"),
    ("colours", "colours", "distinct palette entries in use"),
    ("off_centre", "off centre", "bounding box's centre from the frame's"),
    ("straight_edge", "straight edge", "longest straight run of the outline over the longer side"),
)
_FORMAT = (
    ("strict_valid", "strictly valid", "parses as the drawing that was asked for"),
    ("lenient_valid", "leniently valid", "parses once fences, chatter and lists of integers are forgiven"),
    ("first_error_row", "first fault at", "height of the first fault, where the fault has a place"),
)

METRICS = (
    *(Metric(name, label, "judged", direction, "%", says) for name, label, direction, says in _JUDGED),
    *(Metric(name, label, "described", "near", "" if name == "colours" else "%", says) for name, label, says in _DESCRIBED),
    *(Metric(name, label, "format", "higher", "%", says) for name, label, says in _FORMAT),
    Metric("seconds", "seconds", "cost", "lower", "s", "wall clock for one drawing"),
    Metric("tokens", "tokens", "cost", "lower", "", "tokens in one completion"),
    *(
        Metric(f"legacy_{name}", name.replace("_", " "), "legacy", "higher", "", "Pixel Art Bench, as published")
        for name in (legacy.QUALITY, *legacy.NAMES)
    ),
)
NAMES = tuple(metric.name for metric in METRICS)
YES_OR_NO = frozenset(
    {"recognised", "recognised_in_colour", "sprite_like_in_colour", "sprite_like", "colour_right", "empty", "duplicate"}
    | {"strict_valid", "lenient_valid", "zone_right", "zone_right_scrambled"}
)
