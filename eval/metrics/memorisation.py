"""Memorisation: how much of a drawing stands in one training sprite, pixel by pixel and as a critic sees it.

nearest_training = max over training sprites, flips (none, horizontal, vertical, both) and shifts by at most one pixel
of  |pixels that are opaque in both and have the same entry| / |pixels that are opaque in either|:  1 is a copy. The
held-out sprites' own value is the yardstick. Candidates: the 16 training sprites nearest by a blurred fingerprint
that survives shifts; exact on those. Source: this project; the IoU is P. Jaccard's (1912) with colours.

nearest_training_features = max over training sprites and upside down of the cosine of a critic's features. It sees what
pixels miss: a copy in other colours, of another size, a little redrawn. Sprites of one kind are alike to a critic anyway,
so only more than the held-out sprites' own value says anything. After A. Meehan, K. Chaudhuri and S. Dasgupta, 'A
non-parametric test to detect data-copying in generative models' (2020), who compare distances in the same way.
"""

import numpy as np

CANDIDATES = 16
_POOL = 8  # the fingerprint has 8×8 places
_CODES = np.random.default_rng(20).standard_normal((64, 8)).astype(np.float32)  # one random code an entry
_CODES[0] = 0
_CHUNK = 512  # drawings whose similarities to all training sprites are held at once


def agreement(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Equal opaque pixels over the union of (…, H, W) grids that broadcast; 0 where both are empty."""
    drawn_a, drawn_b = a > 0, b > 0
    equal = ((a == b) & drawn_a).sum((-1, -2))
    union = (drawn_a | drawn_b).sum((-1, -2))
    return np.divide(equal, union, out=np.zeros(union.shape), where=union > 0)


def views(grid: np.ndarray) -> np.ndarray:
    """(H, W) → (36, H, W): four flips, each shifted by −1, 0, 1 down and across; what leaves the frame is lost."""
    flips = np.stack([grid, grid[:, ::-1], grid[::-1], grid[::-1, ::-1]])
    padded = np.pad(flips, ((0, 0), (1, 1), (1, 1)))
    height, width = grid.shape
    return np.concatenate([padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)])


def fingerprints(grids: np.ndarray) -> np.ndarray:
    """(N, H, W) → (N, 8·8·9) float32 of length 1: silhouette and random colour codes, blurred and pooled to 8×8."""
    planes = np.concatenate([(grids > 0)[..., None].astype(np.float32), _CODES[grids]], axis=-1)
    height, width = grids.shape[1:]
    bins_y, bins_x = (np.linspace(0, _POOL, side, endpoint=False).astype(int) for side in (height, width))
    pool_y, pool_x = (_soft_bins(bins) for bins in (bins_y, bins_x))
    pooled = np.einsum("nyxc,yp,xq->npqc", planes, pool_y, pool_x, optimize=True).reshape(len(grids), -1)
    return pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-6)


def _soft_bins(bins: np.ndarray) -> np.ndarray:
    """(side,) bin of each line → (side, 8) weights, blurred into the neighbouring bins."""
    distance = np.abs(bins[:, None] - np.arange(_POOL)[None])
    return np.where(distance == 0, 1.0, np.where(distance == 1, 0.5, 0.0)).astype(np.float32)


def nearest(grids: np.ndarray, training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M, H, W) drawings, (N, H, W) training grids → (M,) agreement 0…1 and (M,) index of that training sprite.

    N must be 1 or more and the sizes must be equal.
    """
    references = fingerprints(training)
    best, which = np.zeros(len(grids)), np.zeros(len(grids), int)
    for start in range(0, len(grids), _CHUNK):
        chunk = grids[start : start + _CHUNK]
        flipped = (chunk, chunk[:, :, ::-1], chunk[:, ::-1], chunk[:, ::-1, ::-1])
        likeness = np.maximum.reduce([fingerprints(view) @ references.T for view in flipped])  # (chunk, N)
        count = min(CANDIDATES, len(training))
        candidates = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        for row, grid in enumerate(chunk):
            found = agreement(views(grid)[:, None], training[candidates[row]][None]).max(0)
            best[start + row], which[start + row] = found.max(), candidates[row][found.argmax()]
    return best, which


def nearest_features(views: np.ndarray, training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, M, d) features of M drawings in V views, (N, d) of training sprites → (M,) cosine −1…1 of the nearest, (M,) its index.

    N must be 1 or more. A row of zeros is like nothing: 0.
    """
    views, training = (x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-9) for x in (views, training))
    best, which = np.zeros(views.shape[1]), np.zeros(views.shape[1], int)
    for start in range(0, views.shape[1], _CHUNK):
        likeness = np.maximum.reduce([view @ training.T for view in views[:, start : start + _CHUNK]])  # (chunk, N)
        which[start : start + _CHUNK] = likeness.argmax(1)
        best[start : start + _CHUNK] = likeness.max(1)
    return best.clip(-1, 1), which
