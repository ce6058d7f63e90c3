"""The shader: symmetric to the bit, batch-free, only on ramps; and light, details, rim and glow do what their names say."""

import time
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.errors import InputError
from data_prep.palette import Palette, named, oklab_to_rgb
from data_prep.sources.procedural import sprite
from eval.postprocess.ramps import GREY_CHROMA, HUE_SPREAD, LEVELS, hue_clusters, ramp_tables, ramps_of
from eval.postprocess.shader import Light, distance_to_edge, shade

REEF = named("reef64")
FREE = Palette("free", ("1a1c2c", "5d275d", "b13e53", "ef7d57", "ffcd75", "a7f070", "38b764", "257179", "f4f4f4", "333c57"))
ONE = Palette("free", ("b13e53",))
BLUE = REEF.ramps["blue"]


@cache
def reef(size: int, count: int = 40) -> np.ndarray:
    return np.stack([sprite(11, index, size).grid for index in range(count)])


@st.composite
def grids(draw, palette: Palette) -> np.ndarray:
    """Noise, blocks, blobs and real sprites of odd and even sides: what a model may draw."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(1, 23)), draw(st.integers(1, 23))
    kind = draw(st.sampled_from(["noise", "blocks", "reef"]))
    if kind == "reef":
        return (reef(16)[rng.integers(40)].astype(int) % len(palette)).astype(np.uint8)
    block = 1 if kind == "noise" else draw(st.integers(2, 7))
    coarse = rng.integers(0, len(palette), (height // block + 1, width // block + 1))
    coarse = np.where(rng.random(coarse.shape) < draw(st.sampled_from([0.0, 0.3])), 0, coarse)
    return coarse.repeat(block, 0).repeat(block, 1)[:height, :width].astype(np.uint8)


shares = st.floats(0, 1)
lights = st.builds(
    Light,
    azimuth=st.one_of(st.floats(0, 360), st.integers(0, 24).map(lambda n: 15 * n)),
    elevation=st.floats(0, 90),
    strength=st.floats(0, 2),
    ambient_occlusion=shares,
    edge_darkening=shares,
    relight=shares,
    rim=shares,
    glow=shares,
)
cases = st.sampled_from([REEF, FREE, ONE]).flatmap(lambda palette: st.tuples(grids(palette), st.just(palette)))


@settings(max_examples=150, deadline=None)
@given(cases, lights)
def test_mirrored_sprite_under_mirrored_light_is_the_mirrored_result(case, light):
    grid, palette = case
    mirrored = replace(light, azimuth=(180 - round(light.azimuth, 6)) % 360)
    assert (shade(grid[:, ::-1], palette, mirrored)[:, ::-1] == shade(grid, palette, light)).all()


@settings(max_examples=60, deadline=None)
@given(cases, lights, st.integers(1, 3))
def test_turned_sprite_under_turned_light_is_the_turned_result(case, light, turns):
    grid, palette = case
    turned = replace(light, azimuth=light.azimuth % 360 + 90 * turns)
    assert (shade(np.rot90(grid, turns), palette, turned) == np.rot90(shade(grid, palette, light), turns)).all()


@settings(max_examples=60, deadline=None)
@given(cases, lights)
def test_only_transparent_pixels_are_transparent_and_no_pixel_leaves_its_ramp_without_rim(case, light):
    grid, palette = case
    shaded = shade(grid, palette, light)
    assert shaded.dtype == np.uint8 and ((shaded == 0) == (grid == 0)).all() and shaded.max(initial=0) < len(palette)
    if light.rim == 0:
        ramp_of = ramp_tables(palette).ramp_of
        assert (ramp_of[shaded] == ramp_of[grid])[grid > 0].all()


@settings(max_examples=40, deadline=None)
@given(cases, lights)
def test_strength_zero_and_a_palette_of_one_colour_change_nothing(case, light):
    grid, palette = case
    assert (shade(grid, palette, Light(light.azimuth, strength=0, rim=1.0, glow=1.0)) == grid).all()
    assert (shade((grid > 0).astype(np.uint8), ONE, light) == (grid > 0)).all()


@pytest.mark.parametrize("light", [Light(), Light(20, 70, 1.5, rim=1.0, glow=1.0)])
def test_a_sprite_does_not_depend_on_its_batch_and_the_input_is_left_alone(light):
    batch = reef(24)
    before = batch.copy()
    shaded = shade(batch, REEF, light)
    assert (shaded == np.stack([shade(grid, REEF, light) for grid in batch])).all()
    assert (batch == before).all() and (shaded != batch).any((1, 2)).all()


def ball(entry: int, side: int = 25) -> np.ndarray:
    y, x = np.indices((side, side)) - side // 2
    return np.where(x * x + y * y < (side / 2 - 2) ** 2, entry, 0).astype(np.uint8)


def centre_of_light(grid: np.ndarray) -> np.ndarray:
    """(x, y up) of what is lighter than the darkest, about the middle of the frame."""
    excess = np.where(grid > 0, ramp_tables(REEF).lightness[grid] - ramp_tables(REEF).lightness[grid[grid > 0]].min(), 0)
    y, x = np.indices(grid.shape) - (np.array(grid.shape)[:, None, None] - 1) / 2
    return np.array([(excess * x).sum(), -(excess * y).sum()]) / excess.sum()


@pytest.mark.parametrize("azimuth", range(0, 360, 30))
def test_highlight_of_a_ball_lies_towards_the_light(azimuth):
    x, y = centre_of_light(shade(ball(BLUE[3]), REEF, Light(azimuth)))
    assert np.hypot(x, y) > 2
    assert abs((np.degrees(np.arctan2(y, x)) - azimuth + 180) % 360 - 180) < 8


def test_light_from_the_other_side_moves_the_highlight_of_drawings_that_are_shaded_already():
    """Procedural sprites are drawn with light from the upper left."""
    sprites = reef(32)
    left, right = (shade(sprites, REEF, Light(azimuth)) for azimuth in (135, 315))
    moved = [centre_of_light(b) - centre_of_light(a) for a, b in zip(left, right, strict=True)]
    assert np.mean([x > 0 and y < 0 for x, y in moved]) > 0.9
    assert (left != right)[sprites > 0].mean() > 0.25


def test_stronger_light_has_more_contrast():
    lightness = ramp_tables(REEF).lightness
    spread = [lightness[shade(ball(BLUE[3]), REEF, Light(strength=s))][ball(1) > 0].std() for s in (0, 0.5, 1.0, 1.6)]
    assert spread[0] == 0 and (np.diff(spread) > 0).all()


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("azimuth", [45, 135, 225, 315])
def test_eyes_survive(azimuth, strength):
    grid = ball(BLUE[3])
    for row, column in ((8, 7), (8, 16), (15, 12)):
        grid[row : row + 2, column : column + 2] = REEF.ramps["neutral"][6]
        grid[row, column] = REEF.ramps["neutral"][0]
    shaded, lightness = shade(grid, REEF, Light(azimuth, strength=strength)), ramp_tables(REEF).lightness
    for row, column in ((8, 7), (8, 16), (15, 12)):
        eye = lightness[shaded[row - 1 : row + 3, column - 1 : column + 3]]
        whites = eye[[1, 2, 2], [2, 1, 2]]
        beside_whites = np.r_[eye[0, 1:], eye[3], eye[1:3, 0], eye[1:3, 3]]  # all around but the corner beside the pupil
        assert shaded[row, column] == REEF.ramps["neutral"][0]
        assert whites.min() - beside_whites.max() > 0.1


def test_stripes_stay_apart_in_light_and_shade():
    grid = ball(REEF.ramps["orange"][4])
    grid[:, np.arange(25) % 4 < 2] = np.where(grid[:, np.arange(25) % 4 < 2] > 0, REEF.ramps["orange"][2], 0)
    shaded = ramp_tables(REEF).lightness[shade(grid, REEF)]
    light, dark = grid == REEF.ramps["orange"][4], grid == REEF.ramps["orange"][2]
    pairs = light[:, 1:] & dark[:, :-1]
    assert (shaded[:, 1:] > shaded[:, :-1])[pairs].mean() > 0.95


def test_black_outlines_stay_black():
    sprites = reef(32)
    ink = sprites == REEF.ramps["neutral"][0]
    assert ink.any() and (shade(sprites, REEF, Light(strength=2.0))[ink] == REEF.ramps["neutral"][0]).all()


def lightness_of(grid: np.ndarray, light: Light) -> np.ndarray:
    return ramp_tables(REEF).lightness[shade(grid, REEF, light)]


def test_ambient_occlusion_darkens_inner_corners_only():
    grid = np.zeros((24, 24), np.uint8)
    grid[2:22, 9:15] = grid[9:15, 2:22] = BLUE[4]  # a plus: four inner corners
    plain = {"elevation": 90, "edge_darkening": 0.0, "relight": 0.0}
    darker = lightness_of(grid, Light(ambient_occlusion=1.0, **plain)) < lightness_of(grid, Light(ambient_occlusion=0.0, **plain))
    assert darker[8:16, 8:16].any()
    darker[7:17, 7:17] = False
    assert not darker.any()


def test_edge_darkening_darkens_the_edge_in_the_shade_only():
    grid = ball(BLUE[4])
    darker = lightness_of(grid, Light(0, edge_darkening=1.0)) < lightness_of(grid, Light(0, edge_darkening=0.0))
    assert darker.any() and not darker[:, 13:].any() and (distance_to_edge(grid[None] > 0)[0][darker] == 1).all()


def test_rim_light_is_on_the_edge_away_from_the_light_in_the_hue_of_the_lights():
    grid = ball(BLUE[1])
    grid[10:12, 8:10] = REEF.ramps["green"][5]
    with_rim, without = (shade(grid, REEF, Light(180, rim=rim)) for rim in (1.0, 0.0))
    changed = with_rim != without
    assert changed.any() and not changed[:, :13].any() and (distance_to_edge(grid[None] > 0)[0][changed] == 1).all()
    assert set(with_rim[changed]) <= set(REEF.ramps["green"])
    assert (ramp_tables(REEF).lightness[with_rim[changed]] > ramp_tables(REEF).lightness[without[changed]] + 0.1).all()


def test_glow_lights_what_is_near_and_sinks_the_rest():
    grid = ball(BLUE[2])
    grid[11:13, 11:13] = REEF.ramps["green"][5]
    change = lightness_of(grid, Light(glow=1.0)) - lightness_of(grid, Light(glow=0.0))
    near = np.zeros_like(grid, bool)
    near[10:14, 10:14] = True
    assert change[near & (grid == BLUE[2])].mean() > 0.05
    assert change[~near & (grid > 0)].mean() < -0.03


def test_distance_to_edge_is_within_a_tenth_and_a_pixel_of_the_true_distance():
    from scipy.ndimage import distance_transform_edt

    mask = np.pad(reef(32) > 0, ((0, 0), (1, 1), (1, 1)))
    true = np.stack([distance_transform_edt(one) for one in mask])
    assert (abs(distance_to_edge(mask) - true) <= 1 + 0.1 * true)[mask].all()


@pytest.mark.parametrize(
    "nonsense",
    [{"azimuth": float("nan")}, {"elevation": 91}, {"elevation": -1}, {"strength": 2.1}, {"strength": "1"}]
    + [{name: 1.5} for name in ("ambient_occlusion", "edge_darkening", "relight", "rim", "glow")],
)
def test_nonsense_lights_are_refused_by_name(nonsense):
    with pytest.raises(InputError, match=next(iter(nonsense))):
        Light(**nonsense)


@pytest.mark.parametrize("grid", [np.zeros((2, 2, 2, 2), np.uint8), np.zeros((4, 4)), np.full((4, 4), 2), np.full((4, 4), -1)])
def test_what_is_no_index_grid_is_refused(grid):
    with pytest.raises(InputError, match="shader"):
        shade(grid, ONE)


# --- ramps ----------------------------------------------------------------------------------------------------------

palettes = st.lists(st.integers(0, 2**24 - 1), min_size=1, max_size=63, unique=True).map(
    lambda colours: Palette("free", tuple(f"{colour:06x}" for colour in colours))
)


@settings(max_examples=60, deadline=None)
@given(palettes)
def test_every_entry_is_in_one_ramp_sorted_by_lightness_and_of_one_hue(palette):
    ramps = ramps_of(palette)
    assert sorted(entry for ramp in ramps for entry in ramp) == list(range(1, len(palette)))
    for ramp in ramps:
        lab = palette.oklab[np.array(ramp) - 1].astype(float)
        assert (np.diff(lab[:, 0]) >= 0).all()
        coloured = np.hypot(lab[:, 1], lab[:, 2]) >= GREY_CHROMA
        assert coloured.all() or not coloured.any()
        if coloured.all():
            hue = np.sort(np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) % 360)
            gaps = np.diff(np.r_[hue, hue[0] + 360])
            assert 360 - gaps.max() <= HUE_SPREAD + 1e-4


@settings(max_examples=40, deadline=None)
@given(palettes)
def test_walks_start_at_the_entry_and_never_turn_back(palette):
    tables = ramp_tables(palette)
    assert (tables.walk[LEVELS] == np.arange(len(palette))).all() and not tables.walk[:, 0].any()
    assert (np.diff(tables.lightness[tables.walk[:, 1:]], axis=0) >= 0).all()


def test_reef64_keeps_its_own_ramps_and_two_half_steps_are_one_step():
    assert set(ramps_of(REEF)) == set(REEF.ramps.values())
    walk = ramp_tables(REEF).walk
    for name, ramp in REEF.ramps.items():
        assert walk[LEVELS + 2, ramp[3]] == ramp[4] and walk[LEVELS - 2, ramp[3]] == ramp[2], name


def test_a_palette_made_of_ramps_is_taken_apart_again():
    hues = np.radians([30, 140, 260])
    lab = [(0.3 + 0.12 * step, 0.09 * np.cos(hue), 0.09 * np.sin(hue)) for step in range(5) for hue in hues]
    lab += [(0.25 + 0.15 * step, 0.0, 0.0) for step in range(5)]
    palette = Palette("free", tuple(row.tobytes().hex() for row in oklab_to_rgb(np.array(lab))))
    assert set(ramps_of(palette)) == {tuple(range(1 + k, 16, 3)) for k in range(3)} | {tuple(range(16, 21))}


def test_hue_clusters_close_the_circle():
    labels = hue_clusters(np.array([-175.0, 175.0, 10.0, 20.0, 5.0]))
    assert labels[0] == labels[1] != labels[2] and labels[2] == labels[3] == labels[4]


def test_tables_are_cached_by_content():
    assert ramp_tables(FREE) is ramp_tables(Palette("other name", FREE.colours))


def test_speed():
    """The goal is 2,000 sprites of 32×32 a second on one core; a quarter of it, so that a busy machine does not fail."""
    batch = np.tile(reef(32), (5, 1, 1))
    shade(batch[:1], REEF)
    start = time.process_time()
    shade(batch, REEF, Light(rim=1.0, glow=1.0))
    assert len(batch) / (time.process_time() - start) > 500
