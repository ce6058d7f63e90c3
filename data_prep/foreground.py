"""Foreground: which pixels of a photograph are the thing that it shows. Pure functions; reads and writes nothing.

Two maps say how little a pixel is like the picture's border: its colour against a mixture of the border's colours, and the
cheapest way to it from the border (texture costs nothing on the way, an edge does), after 'Geodesic saliency using background
priors' (Wei et al., 2012). Together they seed GrabCut (Rother et al., 2004), and of what it finds the pieces are kept that stand
out and do not run out of the picture. OpenCV is imported only when it is needed; nothing here is random.
"""

import numpy as np

from data_prep.palette import oklab

SEED_SIDE, CUT_SIDE, GRAPH_SIDE = 192, 256, 72  # longer side in pixels: of the seeding maps, of GrabCut, of the geodesic graph
BORDER = 0.04  # of the shorter side: the strip whose colours are background
CLUSTERS = 6  # colours that the strip is made of
FLOOR = 2e-4  # variance in OKLab below which colours are the same
ROUNDS = 4  # of GrabCut
SURE = 0.2  # of Otsu's threshold: below, background for certain
LEAST_SHARE, MOST_SHARE = 0.015, 0.80  # of the picture; under the first it has no pixels for a sprite
PIECE = 0.4  # of the best piece's worth: less is no part of the thing
HOLE = 0.01  # of the thing: smaller holes are closed
LEAST_CONTRAST = 0.05  # OKLab distance across the outline
LEAST_SOLIDITY = 0.25  # share of its convex hull that the thing fills
_SAME = 1e-4  # cost of a step without an edge: of equal ways the shorter

SIDES = ("top", "bottom", "left", "right")


def find(rgb: np.ndarray) -> np.ndarray | str:
    """(H, W, 3) uint8, at least 32 pixels a side → (H, W) bool, or in words why no foreground is to be made out."""
    import cv2

    if min(rgb.shape[:2]) < 32:
        return "foreground: the picture is under 32 pixels a side"
    small = resized(rgb, CUT_SIDE)
    salience = cv2.resize(_salience(resized(rgb, SEED_SIDE)), small.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    mask = _pieces(_cut(small, _seeds(salience)), salience)
    reason = implausible(small, mask)
    if reason:
        return reason
    return cv2.resize(mask.astype(np.float32), rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR) >= 0.5


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """The picture shrunk by area so that its longer side is `side`; a smaller one stays as it is."""
    import cv2

    scale = side / max(image.shape[:2])
    shape = [max(8, round(length * scale)) for length in image.shape[1::-1]]
    return cv2.resize(image, shape, interpolation=cv2.INTER_AREA) if scale < 1 else image


def implausible(rgb: np.ndarray, mask: np.ndarray) -> str:
    """Why (H, W) bool is no thing in (H, W, 3), in words, or ''."""
    share, sides = mask.mean(), _sides_touched(mask)
    if share < LEAST_SHARE:
        return f"foreground: almost nothing stands out; {share:.1%} of the picture"
    if share > MOST_SHARE:
        return f"foreground: almost all of the picture; {share:.0%}"
    if len(sides) == 4:
        return "foreground: it runs out of the picture on all four sides"
    if _solidity(mask) < LEAST_SOLIDITY:
        return "foreground: scattered, no one thing"
    if _contrast(rgb, mask) < LEAST_CONTRAST:
        return "foreground: of the same colours as what is around it"
    return ""


# --- what stands out ------------------------------------------------------------------------------------------------


def _salience(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) → (H, W) float32 in 0…1: unlike the border in colour and cut off from it by edges, both."""
    import cv2

    lab = oklab(cv2.medianBlur(rgb, 5))
    colour = cv2.GaussianBlur(_distance_to_border_colours(lab), (0, 0), 2)
    return np.sqrt(_spread(colour) * _spread(_way_from_border(lab)))


def _distance_to_border_colours(lab: np.ndarray) -> np.ndarray:
    """(H, W, 3) OKLab → (H, W) float32: to the nearest of the border's clusters, in deviations of that cluster."""
    import cv2

    strip = lab[_ring(lab.shape[:2], max(3, int(BORDER * min(lab.shape[:2]))))]
    cv2.setRNGSeed(1)  # a picture must not depend on the ones before it
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 1e-3)
    _, owner, _ = cv2.kmeans(strip, CLUSTERS, None, stop, 1, cv2.KMEANS_PP_CENTERS)
    distances = []
    for cluster in (strip[owner[:, 0] == number] for number in range(CLUSTERS)):
        if len(cluster) < 5 + len(strip) / 100:
            continue  # a fleck at the border, perhaps of the thing itself
        spread = np.cov(cluster.T) + FLOOR * np.eye(3)
        away = lab - cluster.mean(0)
        width = np.log(np.linalg.det(spread) / FLOOR**3)  # a wide cluster explains each of its colours less well
        distances.append(np.einsum("...i,ij,...j->...", away, np.linalg.inv(spread), away) + width)
    return np.sqrt(np.maximum(np.min(distances, axis=0), 0)).astype(np.float32)


def _way_from_border(lab: np.ndarray) -> np.ndarray:
    """(H, W, 3) OKLab → (H, W) float32: the least sum of colour steps on a way from the border, less what its texture has."""
    import cv2
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    small = resized(lab, GRAPH_SIDE)
    (height, width), colours = small.shape[:2], small.reshape(-1, 3)
    number = np.arange(height * width).reshape(height, width)
    one, other = _neighbours(number)
    step = np.linalg.norm(colours[one] - colours[other], axis=1)
    strip = _ring((height, width), 3).ravel()
    step = np.maximum(step - np.median(step[strip[one] & strip[other]]), 0) + _SAME
    graph = csr_array((step, (one, other)), (number.size, number.size))
    ways = dijkstra(graph, directed=False, indices=number[_ring((height, width), 1)], min_only=True)
    return cv2.resize(ways.reshape(height, width).astype(np.float32), lab.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _neighbours(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two (n,): the numbers that touch, each pair once: sideways, downwards and on both diagonals."""
    ones = number[:, :-1], number[:-1], number[:-1, :-1], number[:-1, 1:]
    others = number[:, 1:], number[1:], number[1:, 1:], number[1:, :-1]
    return np.concatenate([part.ravel() for part in ones]), np.concatenate([part.ravel() for part in others])


def _spread(values: np.ndarray) -> np.ndarray:
    """To 0…1 between the 5th and the 97th percentile."""
    low, high = np.percentile(values, [5, 97])
    return np.clip((values - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)


# --- what is cut out ------------------------------------------------------------------------------------------------


def _seeds(salience: np.ndarray) -> np.ndarray:
    """(H, W) → GrabCut's labels: probably the thing, probably background, background for certain (the frame too)."""
    import cv2

    threshold = cv2.threshold((salience * 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)[0] / 255
    seeds = np.where(salience >= threshold, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    seeds[(salience < threshold * SURE) | _ring(salience.shape, 3)] = cv2.GC_BGD
    return seeds


def _cut(rgb: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """(H, W, 3) and labels → (H, W) bool."""
    import cv2

    if not (seeds == cv2.GC_PR_FGD).any():
        return np.zeros(seeds.shape, bool)
    cv2.setRNGSeed(1)
    cv2.grabCut(rgb, seeds, None, np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK)
    return (seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD)


def _pieces(mask: np.ndarray, salience: np.ndarray) -> np.ndarray:
    """The pieces that are worth most, without small holes. Worth: salience, less for a piece that runs along the frame."""
    import cv2

    count, owner = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    area = np.bincount(owner.ravel(), minlength=count)
    stands_out = np.bincount(owner.ravel(), salience.ravel(), count)
    along_frame = np.bincount(owner[_ring(mask.shape, 5)], minlength=count) / (5 * np.sqrt(area))
    worth = stands_out / (1 + 3 * along_frame)
    worth[0] = 0  # the background
    kept = (worth >= PIECE * worth.max()) & (worth > 0)
    return _without_holes(kept[owner])


def _without_holes(mask: np.ndarray) -> np.ndarray:
    import cv2

    _, owner, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < HOLE * mask.sum() + 4
    small[0] = False  # the thing itself
    return mask | small[owner]


# --- measures -------------------------------------------------------------------------------------------------------


def _ring(shape: tuple[int, ...], width: int) -> np.ndarray:
    """(H, W) bool: the frame, `width` pixels wide."""
    ring = np.ones(shape, bool)
    ring[width:-width, width:-width] = False
    return ring


def _sides_touched(mask: np.ndarray, within: int = 5) -> list[str]:
    """The sides of the frame that the mask comes up to."""
    strips = (mask[:within], mask[-within:], mask[:, :within], mask[:, -within:])
    return [side for side, strip in zip(SIDES, strips, strict=True) if strip.any()]


def _solidity(mask: np.ndarray) -> float:
    import cv2

    hull = cv2.convexHull(cv2.findNonZero(mask.astype(np.uint8)))
    return float(mask.sum() / max(cv2.contourArea(hull), 1))


def _contrast(rgb: np.ndarray, mask: np.ndarray, window: int = 9) -> float:
    """Median along the outline of the OKLab distance between the colours nearby inside and nearby outside."""
    import cv2

    lab, inside = oklab(rgb), mask.astype(np.float32)[..., None]
    sides = []
    for weight in (inside, 1 - inside):
        total = cv2.boxFilter(np.concatenate([lab * weight, weight], -1), -1, (window, window), normalize=False)
        sides.append(total[..., :3] / np.maximum(total[..., 3:], 1e-6))
    outline = mask & (cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    return float(np.median(np.linalg.norm(sides[0] - sides[1], axis=-1)[outline]))
