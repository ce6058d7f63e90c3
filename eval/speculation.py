"""Speculative decoding without a draft model: pixels are guessed from their neighbours, the model checks several at once.

A step of a small batch costs the reading of the weights, whether it is fed one token or eight. So the pixels ahead are guessed
and fed with the pixel before them; the model's own choice, by its own noise, stands at every one of them, and guesses count
as far as they equal it. What is drawn is what would be drawn one by one, beyond rounding.

Y. Leviathan et al., 'Fast Inference from Transformers via Speculative Decoding' (2023); the guess is the predictor of
LOCO-I (M. Weinberger et al., 2000) without its arithmetic, since palette entries have no order.
"""

from collections.abc import Collection

GUESSES = 7  # pixels guessed at a time; more are seldom all right, and a step's price grows


def guess(pixels: list[int], numbers: Collection[int], width: int) -> list[int]:
    """Entries for the pixels of these numbers (raster order), each from its neighbours, guessed ones included.

    pixels: the entries of the drawing as far as they are known. Where left and above left are equal, the row repeats the one
    above; else it goes on as on the left.
    """
    pixels = list(pixels)
    for number in numbers:
        pixels[number] = _from_neighbours(pixels, number, width)
    return [pixels[number] for number in numbers]


def _from_neighbours(pixels: list[int], number: int, width: int) -> int:
    row, column = divmod(number, width)
    if not row:
        return pixels[number - 1] if column else 0
    above = pixels[number - width]
    if not column:
        return above
    left, above_left = pixels[number - 1], pixels[number - width - 1]
    return above if left == above_left else left
