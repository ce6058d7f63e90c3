"""The report: a pure function of the folder, escaped, honest in words, grey where a metric decides nothing."""

import json
import re
from html.parser import HTMLParser

import pytest
from run_folders import make_run, score_blobs, write_rows

from eval import report_judge, report_pictures, report_words
from eval.report import escape, load, main, markdown_table, report

EVIL = "a <script>alert(1)</script> \"onload='x' | `code` [link](http://evil.example) *fish*\nnew \u202eline"
HTML_VOID = {"meta", "img", "link", "br"}


class Balance(HTMLParser):
    """Collects tags and fails on what is closed out of order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in HTML_VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("runs") / "page", captions={0: EVIL})
    score_blobs(folder)
    report(folder)
    return folder


@pytest.fixture(scope="module")
def page(run):
    return (run / "report.html").read_text(encoding="utf-8")


def test_same_folder_same_bytes(run):
    before = (run / "report.html").read_bytes(), (run / "report.md").read_bytes()
    assert report(run) == run / "report.html"
    assert before == ((run / "report.html").read_bytes(), (run / "report.md").read_bytes())


def test_page_is_well_formed_and_self_contained(page):
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in parser.tags}
    sources = [attributes["src"] for tag, attributes in parser.tags if tag == "img"]
    assert len(sources) > 50 and all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"""(?:href|src)=["'](?!#|data:)|url\(|@import""", page)
    assert not any(name.startswith("on") for _, attributes in parser.tags for name in attributes)


def test_strangers_words_are_escaped(run, page):
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "\u202e" not in page
    for hostile in ("<img src=x>", "a|b", "[a](b)", "http://x", "\x00", "\n# head", "@all"):
        assert not re.search(r"<|(?<![\\&])[|\[#]|://|\x00|\n|@", escape(hostile)), hostile
    assert "<script" not in (run / "report.md").read_text()


def test_verdict_and_caveats_are_computed(run, page):
    loaded = load(run)
    verdict = report_words.verdict(loaded.summary)
    assert "the adapter is better than the base model" in verdict and "95\N{NO-BREAK SPACE}% interval" in verdict
    assert "1.37 bits per pixel" in verdict and "“recognised”" in verdict
    said = " ".join(report_words.caveats(loaded.summary, loaded.recipe, loaded.log))
    assert "trained on 320 sprites" in said and "very little" in said and said.split(".")[0] in page
    assert "of its drawings are recognised as the category asked for, of held-out sprites" in verdict


def test_poor_drawings_after_a_short_training_are_called_poor(run):
    loaded = load(run)
    for comparison in loaded.summary["comparisons"]:
        if (comparison["metric"], comparison["b"]) == ("recognised", "held-out sprites"):
            comparison |= {"mean": -0.6, "low": -0.8, "high": -0.4}
    said = " ".join(report_words.caveats(loaded.summary, loaded.recipe, loaded.log))
    assert "the drawings are poor" in said
    assert "60 points (40 to 80) short of held-out sprites" in report_words.verdict(loaded.summary).replace(
        "\N{NO-BREAK SPACE}", " "
    )


def test_the_judges_own_errors_are_a_table(run):
    loaded = load(run)
    table = report_judge.recognition(loaded.summary)
    assert [row.label for row in table.rows] == ["reef fish", "coral", "jellyfish"]
    assert table.columns[-1].label == "called none" and "300 training sprites" in table.intro
    assert sum(int(row.cells[0].text) for row in table.rows) == 24 and "called reef fish" in markdown_table(table)
    assert report_judge.recognition({**loaded.summary, "recognition": None}) is None


def test_more_recognised_than_held_out_sprites_is_no_praise(run):
    loaded = load(run)
    assert not any("before calling it praise" in words for words in report_words.caveats(loaded.summary, {}, []))
    for comparison in loaded.summary["comparisons"]:
        comparison |= {"mean": 0.2, "low": 0.1, "high": 0.3}
    assert any("before calling it praise" in words for words in report_words.caveats(loaded.summary, {}, []))


def test_an_adapter_that_does_not_heed_the_caption_is_called_so(run):
    loaded = load(run)
    assert not report_words.deafness(loaded.summary)  # its right captions save 10 of 350 bits
    gain = next(row for row in loaded.summary["likelihoods"] if row["generator"] == loaded.summary["roles"]["adapter"])
    gain["gain_over_shuffled"] = {"mean": -0.001, "low": -0.002, "high": 0.001, "n": 24}
    (said,) = report_words.deafness(loaded.summary)
    assert "does not heed the caption" in said and "−0.001 bits" in said
    assert said in report_words.caveats(loaded.summary, {}, [])


def test_a_metric_that_was_not_checked_is_no_headline(run):
    summary = json.loads((run / "summary.json").read_text())
    for metric in summary["metrics"]:
        metric["sane"] = metric["sane"] and None
    assert report_words.headline_metric(summary) is None and "for the eye" in report_words.verdict(summary)
    assert any("none decides anything" in words for words in report_words.caveats(summary, {}, []))


def test_a_long_training_is_not_called_short(run):
    loaded = load(run)
    said = " ".join(report_words.caveats(loaded.summary, loaded.recipe, [{"step": 1, "sprites": 50_000}]))
    assert "very little" not in said and "50\N{NO-BREAK SPACE}000 sprites" in said


@pytest.mark.parametrize(
    ("logged", "said"),
    [
        ({"sprites": 9280, "seconds": 5463.1}, "9_280 sprites in 91 minutes"),
        ({"sprites": 4480, "seconds": 5463.1}, "9_280 sprites, the last 4_480 of them in 91 minutes"),
        ({"seconds": 5463.1}, "9_280 sprites"),  # a log of preferences counts no sprites
    ],
)
def test_time_is_said_of_the_sprites_that_took_it(run, logged, said):
    found = " ".join(report_words.caveats(load(run).summary, {"sprites_seen": 9280}, [{"step": 1, **logged}]))
    assert re.search(f"trained on {said}[.,] ".replace("_", "\N{NO-BREAK SPACE}"), f"{found} ")


def test_commas_of_a_name_are_no_thousands(run):
    summary = load(run).summary | {"roles": {"adapter": None, "base": None, "first": "few-shot, k = 4"}}
    said = " ".join(report_words.caveats(summary, {"training": {"sprites_seen": 50_000}}, []))
    assert "“few-shot, k = 4” was trained on 50\N{NO-BREAK SPACE}000 sprites" in said


def test_no_difference_is_called_no_difference(run):
    summary = json.loads((run / "summary.json").read_text())
    for comparison in summary["comparisons"]:
        comparison |= {"mean": 0.01, "low": -0.1, "high": 0.1}
    assert "not distinguishable from the base model" in report_words.verdict(summary)
    assert "level with held-out sprites" in report_words.verdict(summary)


def test_metrics_that_reward_checkerboards_are_grey(run, page):
    heads = re.findall(r'<th scope="col"( class="grey")?[^>]*>([^<]+?) ?<span', page)
    grey = {label: bool(mark) for mark, label in heads}
    assert grey["quality score"] and grey["right colour"] and grey["sprite-like"]
    assert not grey["recognised"] and not grey["strictly valid"]
    assert "| right colour ↑ legacy |" in (run / "report.md").read_text()


def test_pictures_show_the_very_pixels(run):
    import base64
    import io

    import numpy as np
    from PIL import Image

    loaded = load(run)
    drawings = report_pictures.Drawings(loaded.references, loaded.completions, loaded.palette)
    prompts = report_pictures.gallery(drawings, loaded.summary)
    assert [tile.label for tile in prompts[0].tiles][:3] == ["held-out", "adapter", "base model"]
    picture = Image.open(io.BytesIO(base64.b64decode(prompts[0].tiles[0].source.split(",")[1])))
    sprite = drawings.parse(loaded.references[0]).sprite
    assert (np.asarray(picture) == sprite.rgba()).all()


def test_drawings_beside_their_nearest_training_sprites_by_pixels_and_to_the_judge(run, page):
    loaded = load(run)
    drawings = report_pictures.Drawings(loaded.references, loaded.completions, loaded.palette)
    found = report_pictures.memorisation(drawings, loaded.summary, loaded.scores, loaded.training, loaded.palette)
    assert len(found) == 2 and all(len(alike.pairs) == report_pictures.PAIRS for alike in found)
    rows = [row for row in loaded.scores if row["generator"] == "adapter"]
    for alike, (metric, index, word) in zip(
        found,
        (
            ("nearest_training", "nearest_training_sprite", "shared"),
            ("nearest_training_features", "nearest_training_sprite_features", "alike"),
        ),
        strict=True,
    ):
        best = max((row for row in rows if row.get(index) is not None), key=lambda row: row["metrics"][metric])
        drawn, training = alike.pairs[0]
        assert drawn.note == f"{report_words.percent(best['metrics'][metric])} {word}"
        like = [row[index] for row in rows if row["metrics"][metric] == best["metrics"][metric]]
        assert training.note in {f"no. {number}" for number in like}
        held_out = report_words.value_of(loaded.summary, "held-out sprites", metric)["mean"]
        assert report_words.percent(held_out) in alike.intro and alike.intro in page
    assert page.count('class="pair"') == 2 * report_pictures.PAIRS


def test_markdown_has_the_same_numbers(run, page):
    text = (run / "report.md").read_text(encoding="utf-8")
    assert text.count("\n## ") == page.count("<h2>") - 2  # all but the pictures
    for row in re.findall(r'<tr class="model[^>]*>.*?</tr>', page):
        for number in re.findall(r"<td[^>]*>([^<]+)", row):
            assert escape(number) in text


def test_reports_of_thin_runs(tmp_path):
    folder = make_run(tmp_path / "thin", prompts=3, training=5)
    for name in ("likelihoods.jsonl", "training.npz", "training_log.jsonl"):
        (folder / name).unlink()
    write_rows(folder / "completions.jsonl", [])
    score_blobs(folder)
    page = report(folder).read_text()
    assert "No model drew in this run" in page and "No degenerate controls" in page and "Only 3 prompts" in page


def test_stale_or_missing_scores_end_with_code_2(tmp_path, capsys):
    folder = make_run(tmp_path / "stale", prompts=5, training=25)
    assert main([str(folder)]) == 2 and "not scored" in capsys.readouterr().err
    score_blobs(folder)
    with (folder / "completions.jsonl").open("a") as file:
        file.write("{}\n")
    assert main([str(folder)]) == 2 and "changed after scoring" in capsys.readouterr().err
    score_blobs(folder)
    with (folder / "scores.jsonl").open("a") as file:  # as after a kill between the files of another scoring
        file.write("{}\n")
    assert main([str(folder)]) == 2 and "changed after scoring" in capsys.readouterr().err
