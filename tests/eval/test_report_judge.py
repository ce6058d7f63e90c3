"""What the report shows of the judge and of rivals: cells, distances, comparisons, correlations, extremes, loss and score."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from run_folders import REEF, add_rival, make_run, read_rows, score_blobs, write_rows

from eval import report_extremes, report_judge, report_pictures, report_tables, report_training, report_words
from eval.report import load, report

NAME = "sprite transformer, improved"
EVIL = "<b onclick=x>sprite transformer</b> | `as published`"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("runs") / "rivals")
    add_rival(folder)
    score_blobs(folder)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    return load(folder)


def test_the_verdict_is_about_the_rival_where_there_is_one(run):
    said = report_words.verdict(run.summary).replace("\N{NO-BREAK SPACE}", " ")
    assert "the adapter is better than the rival “sprite transformer, improved” (saving 0." in said
    assert "95 % interval" in said and "“recognised” +" in said
    told, base = report_words.beside(run.summary, run.recipe)
    assert "what the caption says, as attributes" in told and "with the empty caption, the adapter" in told
    assert base.startswith("Beside them, the adapter is better than the base model (saving 1.")


def test_what_a_model_is_told_is_what_the_run_recorded():
    recipe = {"told": {"a": "zone and category"}}
    assert report_words.told(recipe, "a") == "zone and category" and report_words.told(recipe, "b") == "not recorded"
    assert report_words.told({}, "a") == report_words.told({"told": [1]}, "a") == "the caption"


def test_a_rival_alone_leads_and_strangers_names_are_escaped(tmp_path):
    folder = make_run(tmp_path / "alone")
    add_rival(folder, EVIL, alone=True)
    score_blobs(folder)
    run = load(folder)
    assert run.summary["roles"] == {"adapter": None, "base": None, "rival": EVIL}
    assert report_words.verdict(run.summary).startswith(f"the rival “{EVIL}” was not compared with a base model")
    assert "short of held-out sprites" in report_words.verdict(run.summary)
    page, twin = report(folder).read_text(), (folder / "report.md").read_text()
    assert "<b " not in page and "<b " not in twin and page.count("&lt;b onclick") > 5


def test_each_cell_says_share_and_state(run):
    section = report_judge.cells(run.summary)
    assert section.tables[0].title == "adapter" and section.tables[-1].title == "held-out sprites"
    by_key = {(row["generator"], row["mode"], row["category"]): row for row in run.summary["cells"]}
    for table in section.tables:
        mode = "control" if table.title == "held-out sprites" else "grammar"
        for row in table.rows:
            known = by_key[table.title, mode, row.label.replace(" ", "_")]
            (cell,) = row.cells  # one zone
            assert cell.text == report_words.percent(known["recognised"]["mean"]) and cell.heat == known["recognised"]["mean"]
            assert known["state"] in cell.detail and cell.detail.endswith(f"/{known['recognised']['n']}")


def test_the_page_colours_cells_and_says_them_too(folder):
    page = report(folder).read_text()
    heated = re.findall(r'<td class="hot" style="--heat: ([\d.]+)">([^<]+)<small>([^<]+)</small>', page)
    assert len(heated) >= 12
    for heat, text, detail in heated:
        assert 0 <= float(heat) <= 1 and any(word in detail for word in ("alive", "dead", "open"))
        assert text == report_words.percent(float(heat)) or abs(float(heat)) < 0.01 or float(heat) > 0.99


def test_distances_have_a_yardstick_and_shares_stay_shares(run):
    table = report_judge.distribution(run.summary)
    labels = [row.label for row in table.rows]
    assert "training sprites (yardstick)" in labels and labels[0] == "adapter, grammar"
    assert [column.label for column in table.columns][2:4] == ["KID", "Fréchet"]
    for row in table.rows:
        for cell in (row.cells[3], row.cells[4], row.cells[6]):
            ends = [float(word) for word in cell.detail.split("–")]
            assert 0 <= ends[0] <= ends[1] <= 1
    assert report_judge.distribution({**run.summary, "distribution": []}) is None


@pytest.mark.parametrize(("high", "said"), [(900.0, True), (60.0, False)])
def test_a_distance_that_hangs_on_a_few_drawings_says_so(run, high, said):
    own = [row for row in run.summary["distribution"] if (row["generator"], row["mode"]) == ("adapter", "grammar")]
    odd = {**own[0], "kid": {"mean": 50.0, "low": 40.0, "high": high, "n": 24}}
    table = report_judge.distribution({**run.summary, "distribution": [odd]})
    assert any("hangs on a few drawings" in note for note in table.notes) == said


def test_comparisons_are_counted_and_doubtful_ones_grey(run):
    table = report_judge.comparisons(run.summary)
    assert str(len(run.summary["comparisons"])) in table.intro
    assert table.rows[0].label == "against the rival “sprite transformer, improved”"
    greys = 0
    for row in table.rows:
        for cell in row.cells:
            low, *high = re.split(r" to |–", cell.detail.split(", n")[0])
            if high:
                low, high = (float(word.replace("−", "-")) for word in (low, high[0]))
                assert cell.grey or low * high >= 0
                greys += cell.grey
    assert greys


def test_the_judge_is_named_with_its_hash_and_a_run_without_says_why(run):
    section = report_judge.judge(run.summary)
    assert run.summary["critics"]["judge"]["sha256"] in [row.cells[0].text for row in section.tables[0].rows]
    without = {**run.summary, "critics": {"judge": None, "reason": "none <here>"}, "recognition": None}
    assert "none <here>" in report_judge.judge(without).tables[0].rows[0].cells[0].text
    assert any("none <here>" in words for words in report_words.caveats(without, {}, []))


def test_correlations_are_symmetric_and_mark_the_legacy_ones(run):
    table = report_judge.correlations(run.summary, run.scores)
    values = [[cell.text for cell in row.cells] for row in table.rows]
    assert values == [list(column) for column in zip(*values, strict=True)]
    assert all(values[i][i] == "1.00" for i in range(len(values)))
    legacy = [column.label for column in table.columns if column.mark == "legacy"]
    assert "quality score" in legacy and "judge's score" not in legacy
    assert report_judge.correlations(run.summary, []) is None


def _picture(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def test_worst_median_and_best_are_in_order_flat_and_shaded(run):
    drawings = report_pictures.Drawings(run.references, run.completions, run.palette)
    found = report_extremes.extremes(drawings, run.summary, run.scores)
    assert [place for place, _ in found.prompts] == ["worst"] * 2 + ["median"] * 2 + ["best"] * 2
    for name, tiles in found.own:
        scores = [float(tile.label.split(", ")[1]) for tile in tiles]
        assert scores == sorted(scores), name
    assert {name for name, _ in found.own} == {"adapter", "base model", "sprite transformer, improved"}
    colours = {tuple(colour) for colour in REEF.rgba}
    changed = 0
    for _, prompt in found.prompts:
        flat, lit = _picture(prompt.tiles[0].source), _picture(prompt.tiles[0].shaded)
        assert (flat[..., 3] == lit[..., 3]).all() and {tuple(pixel) for pixel in lit.reshape(-1, 4)} <= colours
        changed += (flat != lit).any()
    assert changed
    assert report_extremes.extremes(drawings, run.summary, []) is None


def _without_score(scores: list[dict], requests: set[str], names: set[str]) -> list[dict]:
    """As if the judge did not know what these prompts ask for."""
    unknown = {"judge_score": None, "recognised": None}
    hit = lambda row: row["request_id"] in requests and row["generator"] in names  # noqa: E731
    return [{**row, "metrics": {**row["metrics"], **unknown}} if hit(row) else row for row in scores]


def test_what_the_judge_does_not_know_is_never_among_the_worst(run):
    drawings = report_pictures.Drawings(run.references, run.completions, run.palette)
    every = {row["generator"] for row in run.scores}
    unknown = _without_score(run.scores, {"r0", "r1", "r2"}, every)
    broken = [
        {**row, "metrics": {**row["metrics"], "lenient_valid": 0.0}} if row["generator"] == "adapter" else row for row in unknown
    ]
    captions = {f"r{i}": f"prompt {i}" for i in range(24)}
    drawings.caption = captions.get
    for scores in (unknown, broken):
        found = report_extremes.extremes(drawings, run.summary, scores)
        shown = {prompt.caption for _, prompt in found.prompts} | {tile.note for _, tiles in found.own for tile in tiles}
        assert not shown & {"prompt 0", "prompt 1", "prompt 2"}
    one = report_extremes.extremes(drawings, run.summary, _without_score(run.scores, set(captions), {"adapter"}))
    assert "adapter" not in {name for name, _ in one.own} and one.prompts[0][1].tiles[1].note == "no score"
    assert report_extremes.extremes(drawings, run.summary, _without_score(run.scores, set(captions), every)) is None


def _dots(svg: str) -> list[tuple[float, float]]:
    """Where matplotlib puts the markers of a chart, in their order."""
    return [(float(x), float(y)) for x, y in re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"', svg)]


def test_the_words_name_the_true_optima_of_a_long_log():
    rows = [{"step": i, "validation_bits_per_pixel": 2.0 + (i % 7) / 10, "guide": 0.1} for i in range(1300)]
    rows[401] |= {"validation_bits_per_pixel": 1.0, "guide": 0.2}
    rows[700] |= {"guide": 0.9}
    trail = report_training.loss_against_score(rows, "rival")
    assert len(_dots(trail.svg)) < 600 and "lowest validation loss at step 401, where the guide gives 0.200" in trail.words
    assert "0.900, is at step 700" in trail.words


def test_loss_against_score_names_both_optima():
    log = [{"step": 10 * i, "loss": 1, "validation_bits_per_pixel": b, "guide": g} for i, b, g in ((1, 2.0, 0.1), (2, 1.0, 0.2))]
    assert report_training.loss_against_score(log, "rival") is None
    log += [{"step": 30, "validation_bits_per_pixel": 1.5, "guide": 0.9}, {"step": 35}]
    trail = report_training.loss_against_score(log, "rival")
    assert "lowest validation loss at step 20" in trail.words and "0.900, is at step 30" in trail.words
    x, y = zip(*_dots(trail.svg)[-4:-1], strict=True)  # the last one is there again, large
    assert x[1] < x[2] < x[0] and y[2] < y[1] < y[0]  # up the page is better


def test_adapter_and_rival_have_a_chart_of_loss_against_score_each(folder):
    samples = [{"step": i, "bits_per_pixel": 2 - i / 10, "guide": i / 20, "saved": True} for i in range(1, 8)]
    rows = [{"step": i, "validation_bits_per_pixel": 3 - i / 10, "guide": i / 10} for i in range(1, 6)]
    write_rows(folder / "samples.jsonl", samples)
    write_rows(folder / "rival_training_log.jsonl", rows)
    both, page = report_training.training(load(folder)), report(folder).read_text()
    for name in ("samples.jsonl", "rival_training_log.jsonl"):
        (folder / name).unlink()
    said = [chart.words for chart in both.charts if "loss against score" in chart.words]
    assert said[0].startswith("The adapter: ") and "lowest validation loss at step 7, where the guide gives 0.350" in said[0]
    assert said[1].startswith("The rival: ") and "lowest validation loss at step 5, where the guide gives 0.500" in said[1]
    assert len(said) == 2 and all(page.count(words) for words in said)
    ids = re.findall(r'id="(trail-[^"]*)"', page)
    assert ids and len(ids) == len(set(ids))  # two charts, no id twice


def test_a_rivals_log_is_drawn(folder):
    rows = [{"step": i, "validation_bits_per_pixel": 3 - i / 10, "guide": i / 10} for i in range(1, 6)]
    (folder / "rival_training_log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = report(folder).read_text()
    (folder / "rival_training_log.jsonl").unlink()
    assert "lowest validation loss at step 5" in page and 'id="training"' in page


def test_bits_say_what_each_model_is_told(run):
    table = report_tables.likelihoods(run.summary, run.recipe)
    assert {row.label: row.cells[0].text for row in table.rows} == {
        "base model (before)": "the caption",
        "adapter (after)": "the caption",
        "sprite transformer, improved (rival)": "what the caption says, as attributes",
    }


def test_a_model_without_bits_for_the_empty_caption_has_dashes(tmp_path):
    folder = make_run(tmp_path / "run")
    add_rival(folder, NAME)
    rows = [row for row in read_rows(folder / "likelihoods.jsonl") if (row["generator"], row["condition"]) != (NAME, "empty")]
    write_rows(folder / "likelihoods.jsonl", rows)
    score_blobs(folder)
    run = load(folder)
    table = report_tables.likelihoods(run.summary, run.recipe)
    (own,) = (row for row in table.rows if row.label.startswith(NAME))
    cells = dict(zip((column.label for column in table.columns[1:]), own.cells, strict=True))
    assert {label for label, cell in cells.items() if cell.text == report_tables.NOTHING} >= {
        "bits, empty caption",
        "gain over empty",
    }
    assert report_tables.NOTHING not in (cells["bits, right caption"].text, cells["gain over shuffled"].text)
    compared = report_judge.comparisons(run.summary)
    last = {row.label: row.cells[-1].text for row in compared.rows}
    assert last[f"against the rival “{NAME}”"] == report_tables.NOTHING != last["against the base model"]
    assert "empty caption" not in report_words.beside(run.summary, run.recipe)[0]
    assert NAME in report(folder).read_text()


def test_the_report_says_what_the_judge_learnt_from(run):
    said = report_judge.judge(run.summary).tables[0]
    count = run.summary["critics"]["judge"]["training"]
    assert f"{count} training sprites of test" in said.intro and f"{count} training sprites of test" in said.rows[1].cells[0].text
    older = {key: value for key, value in run.summary["critics"]["judge"].items() if key != "datasets"}
    older = report_judge.judge({**run.summary, "critics": {"judge": older, "reason": None}}).tables[0]
    assert f"{count} training sprites, which" in older.intro
    without = {**run.summary, "critics": {"judge": None, "reason": "none"}, "recognition": None}
    assert report_judge.judge(without).tables[0].intro == ""
