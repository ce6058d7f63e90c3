"""Structure of index grids, and whether a drawing is built like a sprite.

All statistics are taken on (N, H, W) uint8 grids at once, 0 = transparent, each gives (N,) float64:
  opaque_share         opaque pixels / pixels; `empty` = 1 below 2 %
  largest_component    pixels of the largest 8-connected opaque shape / opaque pixels
  speckle              opaque pixels without an 8-neighbour of the same entry / opaque pixels
  neighbour_agreement  equal pairs / pairs of 4-neighbours with at least one opaque pixel
  colours              distinct opaque entries
  off_centre           distance of the bounding box's centre from the frame's, larger axis, as a share of the side
  straight_edge        longest straight run of the silhouette's border / longer side of the bounding box
An empty grid has 0 everywhere.

sprite_like = 1 where the Mahalanobis distance of these statistics from the training sprites' is within their own
95th percentile (P. Mahalanobis, 'On the generalised distance in statistics', 1936), else 0; an empty grid gets 0.
None of this sees what is drawn: it is the floor under a drawing, not a verdict on it. A shaded disc with a few specks
passes, and so does a sprite of another subject.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

EMPTY_BELOW = 0.02
MEMBERS = ("opaque_share", "largest_component", "speckle", "neighbour_agreement", "colours", "off_centre", "straight_edge")
_LIKE_PERCENTILE = 95
_MIN_SPRITES = 20  # fewer give no spread worth the name
_SPREAD_FLOOR = np.array([0.05, 0.05, 0.03, 0.05, 1.0, 0.04, 0.08])  # one for each of MEMBERS
_EIGHT = np.ones((1, 3, 3), int)  # neighbours in the picture, none across pictures


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def opaque_share(grids: np.ndarray) -> np.ndarray:
    return (grids > 0).mean((1, 2))


def empty(grids: np.ndarray) -> np.ndarray:
    """1.0 where less than 2 % of the pixels are opaque."""
    return (opaque_share(grids) < EMPTY_BELOW).astype(float)


def largest_component(grids: np.ndarray) -> np.ndarray:
    drawn = grids > 0
    structure = np.concatenate([0 * _EIGHT, _EIGHT, 0 * _EIGHT])
    labels, count = ndimage.label(drawn, structure)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    return _share(sizes[labels].max((1, 2)), drawn.sum((1, 2)))


def speckle(grids: np.ndarray) -> np.ndarray:
    drawn = grids > 0
    padded = np.pad(grids, ((0, 0), (1, 1), (1, 1)))
    height, width = grids.shape[1:]
    lonely = drawn.copy()
    for dy in range(3):
        for dx in range(3):
            if (dy, dx) != (1, 1):
                lonely &= padded[:, dy : dy + height, dx : dx + width] != grids
    return _share(lonely.sum((1, 2)), drawn.sum((1, 2)))


def neighbour_agreement(grids: np.ndarray) -> np.ndarray:
    equal = pairs = np.zeros(len(grids))
    for a, b in ((grids[:, 1:], grids[:, :-1]), (grids[:, :, 1:], grids[:, :, :-1])):
        counted = (a > 0) | (b > 0)
        equal = equal + (counted & (a == b)).sum((1, 2))
        pairs = pairs + counted.sum((1, 2))
    return _share(equal, pairs)


def colours(grids: np.ndarray) -> np.ndarray:
    flat = np.sort(grids.reshape(len(grids), -1), axis=1)
    return ((flat[:, 1:] != flat[:, :-1]) & (flat[:, 1:] > 0)).sum(1) + (flat[:, 0] > 0).astype(float)


def bounding_box(drawn: np.ndarray) -> np.ndarray:
    """(N, H, W) bool → (N, 4): first and last row, first and last column that are drawn; of empty grids the frame's."""
    sides = []
    for axis in (2, 1):
        line = np.any(drawn, axis)
        sides += [line.argmax(1), line.shape[1] - 1 - line[:, ::-1].argmax(1)]
    return np.stack(sides, 1)


def off_centre(grids: np.ndarray) -> np.ndarray:
    box, (height, width) = bounding_box(grids > 0), grids.shape[1:]
    down = np.abs((box[:, 0] + box[:, 1] + 1) / 2 - height / 2) / height
    across = np.abs((box[:, 2] + box[:, 3] + 1) / 2 - width / 2) / width
    return np.maximum(down, across)


def _longest_run(border: np.ndarray) -> np.ndarray:
    """(N, lines, length) bool → (N,) longest run of True along the last axis."""
    run = longest = np.zeros(border.shape[:2], int)
    for step in range(border.shape[2]):
        run = (run + 1) * border[:, :, step]
        longest = np.maximum(longest, run)
    return longest.max(1)


def straight_edge(grids: np.ndarray) -> np.ndarray:
    drawn = grids > 0
    padded = np.pad(drawn, ((0, 0), (1, 1), (1, 1)))
    runs = np.zeros(len(grids), int)
    for picture in (padded, padded.swapaxes(1, 2)):
        inside, outside = picture[:, 1:], ~picture[:, :-1]
        for border in (inside & outside, ~inside & ~outside):  # entered from above, left below
            runs = np.maximum(runs, _longest_run(border))
    box = bounding_box(drawn)
    longer = np.maximum(box[:, 1] - box[:, 0], box[:, 3] - box[:, 2]) + 1
    return _share(runs, np.where(drawn.any((1, 2)), longer, 0))


def statistics(grids: np.ndarray) -> dict[str, np.ndarray]:
    """The statistics of `MEMBERS` and `empty`, name → (N,) float64."""
    measured = (opaque_share, largest_component, speckle, neighbour_agreement, colours, off_centre, straight_edge, empty)
    return {function.__name__: function(grids) for function in measured}


@dataclass(frozen=True)
class SpriteLike:
    """How training sprites are built: mean (7,), inverse covariance (7, 7) and the distance that 95 % stay within."""

    centre: np.ndarray
    precision: np.ndarray
    limit: float

    @classmethod
    def fit(cls, training: np.ndarray) -> "SpriteLike | None":
        """`of`, or None below 20 sprites."""
        return cls.of(training) if len(training) >= _MIN_SPRITES else None

    @classmethod
    def of(cls, training: np.ndarray) -> "SpriteLike":
        """From (N, H, W) training grids, 20 or more. Never fitted on what it is to judge."""
        measured = _matrix(statistics(training))
        covariance = np.cov(measured.T) + np.diag(_SPREAD_FLOOR**2) / 4  # a statistic that never varies must not rule
        unlimited = cls(measured.mean(0), np.linalg.inv(covariance), np.inf)
        return cls(unlimited.centre, unlimited.precision, float(np.percentile(unlimited.distance(measured), _LIKE_PERCENTILE)))

    def distance(self, measured: np.ndarray) -> np.ndarray:
        """(N, 7) statistics → (N,) Mahalanobis distances."""
        away = measured - self.centre
        return np.sqrt(np.einsum("ni,ij,nj->n", away, self.precision, away))

    def judge(self, stats: dict[str, np.ndarray]) -> np.ndarray:
        """`statistics` of N drawings → (N,) 1.0 or 0.0."""
        return ((self.distance(_matrix(stats)) <= self.limit) & (stats["empty"] == 0)).astype(float)


def _matrix(stats: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack([stats[name] for name in MEMBERS], 1)
