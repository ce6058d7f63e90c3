"""Pixel Art Bench's three scores in both readings: as the published code has them, and as the article's prose means them.

                     legacy, exactly as published            ours, each 0 to 1
JSON Validity        json.loads succeeds                     … and the object is all there is, has a grid and a palette of 2 to 10
                                                             colours in the task's spelling, and every colour that the grid names
Render Success       the grid is 24 lists of 24 integers,    0 unless the grid is 24×24 and drawable, else the continuity of
                     so prompt A's own format scores 0       contours and areas (`structure`)
Pixel Art Quality    min(distinct values / 10, 1)            share of valid indices × coherent palette × structure; 0 unless
                                                             drawable and 24×24

JSON Validity is form alone in both readings: a checkerboard passes it. The other two of ours are built so that degenerate
drawings come below sprites; docs/bench.md shows by how much, also for families that were kept out of the building.
"""

import numpy as np

from data_prep.bench_format import MOST_COLOURS, SIDE
from eval.bench import structure
from eval.bench.answers import Answer, Picture, hex_of, is_asked_size, picture_of, read

JSON_VALIDITY, RENDER_SUCCESS, QUALITY = "json_validity", "render_success", "pixel_art_quality"
NAMES = (JSON_VALIDITY, RENDER_SUCCESS, QUALITY)
STRINGS, LISTS = "strings of digits", "lists of integers"  # how prompts A and B want the grid
_JUST_SEEN = 0.02  # OKLab: colours nearer than that are hardly told apart


def legacy(text: str) -> dict[str, float]:
    """The three as the published code has them. Total."""
    answer = read(text)
    grid = answer.data.get("grid") if isinstance(answer.data, dict) else None
    return {
        JSON_VALIDITY: float(answer.is_json),
        RENDER_SUCCESS: float(_is_24_lists_of_24_integers(grid)),
        QUALITY: min(_distinct(grid) / 10, 1.0),
    }


def _is_24_lists_of_24_integers(grid: object) -> bool:
    if not isinstance(grid, list) or len(grid) != SIDE:
        return False
    return all(isinstance(row, list) and len(row) == SIDE and all(isinstance(cell, int) for cell in row) for row in grid)


def _distinct(grid: object) -> int:
    """Distinct cells; of a row that is a string, its characters."""
    if not isinstance(grid, list) or not all(isinstance(row, list | str) for row in grid):
        return 0
    try:
        return len({cell for row in grid for cell in row})
    except TypeError:  # cells that are lists
        return 0


def ours(text: str, form: str) -> dict[str, float]:
    """The three as the prose means them. form: STRINGS or LISTS. Total."""
    answer = read(text)
    picture = picture_of(answer)
    scores = {JSON_VALIDITY: json_validity(answer, picture, form), RENDER_SUCCESS: 0.0, QUALITY: 0.0}
    if picture is None or not is_asked_size(picture):
        return scores
    valid, whole = float((picture.grid >= 0).mean()), np.where(picture.grid < 0, 0, picture.grid)
    judged = structure.judged(whole, picture.lab)
    scores[RENDER_SUCCESS] = judged["continuity"] if picture.is_whole else 0.0
    scores[QUALITY] = valid * coherent_palette(whole, picture) * judged["structure"]
    return scores


def json_validity(answer: Answer, picture: Picture | None, form: str) -> float:
    """1 or 0: nothing but the object, 2 to 10 colours, cells in the task's form, and no colour missing."""
    if not answer.is_alone or answer.found is None or picture is None or not 2 <= len(picture.colours) <= MOST_COLOURS:
        return 0.0
    in_form = _strings if form == STRINGS else _lists
    return float(picture.is_whole and in_form(answer.found))


def _strings(found: dict) -> bool:
    spelt = all(isinstance(c, str) and hex_of(c) == c.lower() for c in found["palette"])
    return spelt and all(isinstance(row, str) and row.isdecimal() and row.isascii() for row in found["grid"])


def _lists(found: dict) -> bool:
    return all(isinstance(row, list) and all(type(cell) is int for cell in row) for row in found["grid"])


def coherent_palette(grid: np.ndarray, picture: Picture) -> float:
    """Share of the palette's entries that earn their place: used, and no twin of another one. One colour in use: 0."""
    counts = np.bincount(grid.ravel(), minlength=len(picture.colours))
    used = np.flatnonzero(counts)
    if len(used) < 2:
        return 0.0
    distances = np.linalg.norm(picture.lab[used][:, None] - picture.lab[used][None], axis=-1) + np.eye(len(used))
    twins = int((distances.min(1) < _JUST_SEEN).sum())
    return (len(used) - twins / 2) / len(picture.colours)
