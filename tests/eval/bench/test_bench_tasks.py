"""The tasks through Inspect itself, offline: its mock, our models, controls, a local folder, an OpenAI-compatible server."""

import asyncio
import base64
import io
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import ChatMessageUser, GenerateConfig, ModelOutput, get_model
from inspect_ai.scorer import Score
from PIL import Image
from stand_in_server import send, standing_in

from data_prep import pairs
from data_prep.bench_format import prompt_a
from data_prep.errors import InputError
from data_prep.whole_files import alone
from eval.bench import task
from eval.bench.drawing import CONTROLS, Drawn, ReefModel, as_asked, as_bench, check_arguments, control_drawing
from eval.bench.leaderboard import entries_of, entry_of, markdown, merged, update
from eval.bench.logs import DEGENERATE, HONEST, kind_of, label
from eval.bench.prompts import PROMPT_B, SUBJECTS, built_in, load_rows, prompt_b, subject_of
from eval.bench.randomness import keyed
from eval.bench.rating_folder import markdown as rated_markdown
from eval.bench.rating_folder import shown, standings
from eval.bench.rating_folder import write as blind
from eval.bench.sample_drawings import prepared, procedural
from eval.cli import main
from eval.controls import HELD_OUT
from eval.endpoint import base_url
from eval.generators import GRAMMAR
from eval.pages.contest import read_contest
from eval.ratings import FILE, Pair, Ratings

DRAWING = control_drawing(HELD_OUT, procedural(1, 3, "test")[0], keyed("task"))


def says(*texts: str):
    """A mock that gives these answers one after the other."""
    return get_model("mockllm/model", custom_outputs=[ModelOutput.from_content("mockllm/model", text) for text in texts])


def chat_completion(text: str) -> dict:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "b", "choices": [choice]}


def value(log, scorer: str, name: str) -> list[float]:
    return [sample.scores[scorer].value[name] for sample in log.samples]


def test_the_seven_rows_are_built_in_and_prompts_give_their_subjects_back():
    assert [row["subject"] for row in built_in()] == list(SUBJECTS) and len(SUBJECTS) == 7
    assert built_in()[1]["prompt"] == PROMPT_B + "a rainbow"
    assert all(subject_of(ask(subject)) == subject for ask in (prompt_a, prompt_b) for subject in SUBJECTS)
    with pytest.raises(InputError, match="neither"):
        subject_of("Draw a fish")


def test_prompt_a_is_verbatim():
    asked = prompt_a("hope")
    assert asked.startswith(
        'Draw pixel art on a 24x24 grid. Return a JSON object with two keys:\n\n"palette" — palette: array of 2-10'
    )
    assert '{"palette":["87ceeb","228b22","8b4513","ff4500"],"grid":["0000","1111","2212","3333"]}' in asked
    assert asked.endswith("- Output ONLY the JSON object. No markdown fences, no explanation.\n\nDraw: hope")


def test_the_data_set_loads_from_parquet_and_lines(tmp_path):
    import pandas

    rows = built_in()
    pandas.DataFrame(rows).to_parquet(tmp_path / "train.parquet")
    (tmp_path / "lite").mkdir()
    (tmp_path / "lite/train.jsonl").write_text('{"subject": "hope", "prompt": null}\nnot json\n')
    assert load_rows(str(tmp_path / "train.parquet")) == rows
    assert load_rows(str(tmp_path / "lite")) == [{"id": "1", "subject": "hope", "category": "", "prompt": prompt_b("hope")}]
    with pytest.raises(InputError, match="neither a file nor a folder"):
        load_rows(str(tmp_path / "nowhere"))


def test_of_a_folder_the_training_split_is_read_wherever_the_folder_lies(tmp_path):
    (tmp_path / "trained/data").mkdir(parents=True)
    for name in ("train", "test"):
        (tmp_path / f"trained/data/{name}.json").write_text(json.dumps([{"subject": name}]))
    assert [row["subject"] for row in load_rows(str(tmp_path / "trained"))] == ["train"]


def test_the_mock_gets_nothing_and_the_nouns_say_why_they_are_not_measured(run):
    log = run(task.bench_nouns(), "mockllm/model", limit=2)
    assert value(log, "ours", "json_validity") == [0, 0]
    assert np.isnan(value(log, "nouns", "top_1")).all()
    assert "no dataset was given" in log.samples[0].scores["nouns"].explanation


def test_each_format_is_its_own_task(run, one_subject):
    a = run(task.bench_a(one_subject, epochs=2), says(DRAWING.text(), DRAWING.listed()))
    b = run(task.bench_b(one_subject, epochs=2), says(DRAWING.text(), DRAWING.listed()))
    assert sorted(value(a, "ours", "json_validity")) == sorted(value(b, "ours", "json_validity")) == [0, 1]
    assert sorted(value(a, "legacy", "legacy_render_success")) == [0, 1]


def test_epochs_are_ten_and_the_log_has_standard_errors(run):
    assert task.bench_a().epochs == 10 and task.bench_b().epochs == 10
    log = run(task.bench_a(epochs=2), "pixelreef-control/held-out", limit=3)
    metrics = {score.name: set(score.metrics) for score in log.results.scores}
    assert metrics["render_success"] == {"mean", "stderr"} and len(log.samples) == 6


def test_the_log_shows_the_drawing_as_a_picture(run, one_subject):
    log = run(task.bench_a(one_subject, epochs=1), says(DRAWING.text()))
    found = re.fullmatch(r"!\[drawing\]\(data:image/png;base64,(.+)\)", log.samples[0].scores["ours"].explanation)
    picture = np.array(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB"))[::8, ::8]
    colours = np.array([list(bytes.fromhex(colour)) for colour in DRAWING.colours], np.uint8)
    assert (picture == colours[DRAWING.grid]).all()


def test_controls_score_below_held_out_sprites_in_the_tasks_own_log(run):
    means = {}
    for name in ("held-out", "checkerboard", "noise-2x2", "half-erased"):
        log = run(task.bench_a(epochs=1), f"pixelreef-control/{name}")
        means[name] = {key: np.mean(value(log, "ours", key)) for key in ("render_success", "pixel_art_quality")}
        assert set(value(log, "ours", "json_validity")) == {1}
    honest = means.pop("held-out")
    assert all(found[key] < honest[key] - 0.05 for found in means.values() for key in honest)


def test_an_unknown_control_names_those_that_there_are():
    with pytest.raises(PrerequisiteError, match="there are noise, noise-2x2"):
        get_model("pixelreef-control/nothing", memoize=False)


def test_a_bad_prompt_does_not_fail_what_shares_its_batch():
    model = get_model("pixelreef-control/held-out", memoize=False)

    async def both():
        asked = ([ChatMessageUser(content=text)] for text in ("Draw a fish", prompt_a("hope")))
        answers = (model.api.generate(chat, [], "none", GenerateConfig()) for chat in asked)
        return await asyncio.gather(*answers, return_exceptions=True)

    bad, good = asyncio.run(both())
    assert isinstance(bad, InputError) and shown(good.completion) is not None


def test_a_dataset_s_drawings_for_the_bench_keep_their_own_colours(tmp_path):
    sprite = procedural(1, 5, "test")[0]
    rows = [pairs.row(sprite, "", "", "test", pairs.Rendering(sprite.palette, 0, {name: 1})) for name in ("draw", "bench")]
    (tmp_path / "data").mkdir()
    (tmp_path / "manifest.json").write_text('{"files": {}}')
    (tmp_path / "palette.json").write_text(json.dumps(sprite.palette.to_json()))
    pairs.write_parquet(tmp_path / "data/test-00000-of-00001.parquet", rows)
    drawn, asked = prepared(tmp_path, "test")
    assert (drawn.rgba() == sprite.rgba()).all() and (asked.rgba() == pairs.as_bench(sprite).rgba()).all()
    broken = rows[0] | {"completion": [{"role": "assistant", "content": "{}"}]}
    pairs.write_parquet(tmp_path / "data/test-00000-of-00001.parquet", [broken])
    with pytest.raises(InputError, match="no drawing"):
        prepared(tmp_path, "test")


def test_a_base_model_under_the_grammar_answers_in_the_task_s_form(run, one_subject, tiny_qwen3):
    model = get_model(f"pixelreef/{tiny_qwen3}", config=GenerateConfig(seed=3), memoize=False)
    log = run(task.bench_a(one_subject, epochs=2), model)
    assert value(log, "ours", "json_validity") == [1, 1]
    assert log.samples[0].output.completion != log.samples[1].output.completion  # epochs differ
    assert label(log.eval.model, {}).startswith("pixelreef/tiny-qwen3")


def test_a_base_model_without_the_grammar_is_cut_where_it_is_told(run, one_subject, tiny_qwen3):
    model = get_model(f"pixelreef/{tiny_qwen3}", mode="unconstrained", memoize=False)
    log = run(task.bench_b(one_subject, epochs=1), model, max_tokens=12)
    assert log.samples[0].output.stop_reason == "max_tokens" and value(log, "ours", "json_validity") == [0]


def test_the_grammars_admit_their_format_and_no_colour_beyond_the_palette(tokens):
    from eval.bench.bench_grammar import head_lark, lark
    from eval.grammar import admitted

    text, listed = DRAWING.text(), DRAWING.listed().replace(" ", "")
    start = text.index('"grid":["') + len('"grid":["')
    admitted(tokens.tokenizer, head_lark(), tokens.ids(text[:start]))
    admitted(tokens.tokenizer, lark(), tokens.ids(listed))
    beyond = listed.replace('"grid":[[' + str(DRAWING.grid[0, 0]), f'"grid":[[{len(DRAWING.colours)}')
    for grammar, broken in ((lark(), beyond), (head_lark(), text[:start].replace('"palette":["', '"palette":["#'))):
        with pytest.raises(ValueError, match="refuses"):
            admitted(tokens.tokenizer, grammar, tokens.ids(broken))


def test_an_adapter_of_another_size_says_so_before_anything_is_loaded(capsys):
    adapter = str(Path(__file__).parents[3] / "adapters/smollm2-135m-reef-16")
    with pytest.raises(PrerequisiteError, match="was trained on 16x16, not on the bench's 24x24"):
        get_model(f"pixelreef/{adapter}", memoize=False)
    assert main(["bench", "add", f"pixelreef/{adapter}"]) == 2
    assert "with -M force=true it draws all the same" in capsys.readouterr().err


def test_a_model_that_fails_leaves_those_before_it_entered(monkeypatch, tmp_path, run, one_subject):
    log = run(task.bench_a(one_subject, epochs=1), "mockllm/model")

    def answer(model, options):
        if model == "second":
            raise InputError("second: nobody answers")
        return [log.location]

    monkeypatch.setattr("eval.bench.running.run_tasks", answer)
    assert main(["bench", "add", "first", "second", "--out", str(tmp_path / "board")]) == 2
    assert len(json.loads((tmp_path / "board.json").read_text())["entries"]) == 1


def test_our_own_prompt_s_answer_is_rewritten_in_the_bench_s_form(run, one_subject, tiny_qwen3):
    model = get_model(f"pixelreef/{tiny_qwen3}", ask="own", memoize=False)
    log = run(task.bench_a(one_subject, epochs=1), model)
    told = log.samples[0].output.metadata
    assert value(log, "ours", "json_validity") == [1] and told["own answer"].startswith('{"palette":"reef64"')


def test_an_adapter_that_knows_prompt_a_answers_prompt_b_by_it():
    own = DRAWING.text()
    asked = as_asked(Drawn(own, tokens=9), prompt_b("the sun"), prompt_a("the sun"))
    assert asked.text == DRAWING.listed() and asked.tokens == 9 and asked.told["own answer"] == own
    assert as_asked(Drawn(own), prompt_a("the sun"), prompt_a("the sun")).text == own
    assert as_asked(Drawn("no drawing"), prompt_b("the sun"), prompt_a("the sun")).text == "no drawing"


def test_rewriting_keeps_shape_and_at_most_ten_colours():
    sprite = procedural(1, 5, "test")[0]
    drawing = as_bench(sprite.grid, sprite.palette)
    assert 2 <= len(drawing.colours) <= 10 and ((drawing.grid > 0) == (sprite.grid > 0)).all()
    with pytest.raises(InputError, match="grammar or unconstrained"):
        check_arguments("free", None)
    assert ReefModel(None, GRAMMAR, "own").ask == "own"


def test_inspect_s_hugging_face_provider_runs_on_a_local_folder(run, one_subject, tiny_qwen3):
    model = get_model("hf/local", model_path=str(tiny_qwen3), memoize=False)
    log = run(task.bench_a(one_subject, epochs=1), model, max_tokens=8)
    assert value(log, "ours", "json_validity") == [0] and log.samples[0].output.usage.output_tokens <= 8


def test_any_openai_compatible_server_can_be_asked(run, one_subject, monkeypatch):
    pytest.importorskip("openai")
    monkeypatch.setenv("LOCAL_API_KEY", "none")
    with standing_in(script=[lambda handler: send(handler, chat_completion(DRAWING.text()))]) as server:
        model = get_model("openai-api/local/b", base_url=base_url(server.address), memoize=False)
        log = run(task.bench_a(one_subject, epochs=1), model)
    assert value(log, "ours", "json_validity") == [1] and server.bodies()[0]["messages"][0]["content"] == prompt_a("the sun")


def test_the_leaderboard_keeps_a_row_a_model_the_newest(run, one_subject, tmp_path):
    for text in (DRAWING.listed(), DRAWING.text()):
        run(task.bench_a(one_subject, epochs=1), says(text))
    run(task.bench_a(one_subject, epochs=2), "pixelreef-control/checkerboard")
    run(task.bench_a(one_subject, epochs=2), "pixelreef-control/held-out")
    (tmp_path / "logs/broken.eval").write_bytes(b"no zip")
    said = update([tmp_path / "logs"], tmp_path / "board")
    assert "broken.eval: unreadable" in said and "3 logs entered, 3 entries" in said
    assert "left out mockllm/model on bench_a: a newer log is entered" in said
    text = (tmp_path / "board.md").read_text()
    assert text.index("held-out") < text.index("checkerboard · degenerate") and "mockllm/model | 1 | 1.00" in text
    assert "quality score of 8.5, legacy \\(checkerboard\\)" in text
    again = update([tmp_path / "logs"], tmp_path / "board")
    assert again == said and (tmp_path / "board.md").read_text() == text


def test_two_models_entered_at_once_both_stay(run, one_subject, tmp_path):
    for control, place in (("checkerboard", "one"), ("held-out", "two")):
        run(task.bench_a(one_subject, epochs=1), f"pixelreef-control/{control}")
        (tmp_path / "logs").rename(tmp_path / place)
    update([tmp_path / "one"], tmp_path / "first/board")
    (tmp_path / "out").mkdir()
    with ThreadPoolExecutor() as other:
        with alone(tmp_path / "out"):  # the first one is at it while the second one wants to
            entered = other.submit(update, [tmp_path / "two"], tmp_path / "out/board")
            assert wait([entered], 0.5).not_done
            shutil.copy(tmp_path / "first/board.json", tmp_path / "out")
        assert "1 logs entered, 2 entries" in entered.result(30)


def test_drawings_of_the_logs_are_judged_blind(run, one_subject, tmp_path):
    run(task.bench_a(one_subject, epochs=1), says(DRAWING.listed()))  # lists, though strings were asked for
    run(task.bench_a(one_subject, epochs=1), "pixelreef-control/checkerboard")
    run(task.bench_a(one_subject, epochs=1), "pixelreef-control/noise")
    run(task.bench_b(one_subject, epochs=1), "pixelreef-control/blank")
    said = blind([tmp_path / "logs"], tmp_path / "rated")
    assert "3 drawings of 1 prompts by 3 models" in said
    with pytest.raises(InputError, match="may hold votes"):
        blind([tmp_path / "logs"], tmp_path / "rated")
    with pytest.raises(InputError, match="nobody has rated it yet"):
        update([], tmp_path / "board", tmp_path / "rated")
    with pytest.raises(InputError, match="no prompt of bench_b that two models"):
        blind([tmp_path / "logs"], tmp_path / "other", "bench_b")

    makers = ["mockllm/model", "pixelreef-control/checkerboard"]
    ratings = Ratings(tmp_path / "rated" / FILE)
    contest = read_contest(tmp_path / "rated", ratings, makers)
    shown = contest.before("Ada", "person")["pair"]
    sides = {side: len(shown[side]["colours"]) for side in ("left", "right")}
    contest.vote("Ada", "person", shown["uid"], max(sides, key=sides.get), 2.0)  # the sprite has more than two colours
    ratings.close()
    assert shown["caption"] == "the sun"
    update([], tmp_path / "board", tmp_path / "rated")
    text = (tmp_path / "board.md").read_text()
    assert "judged by people, makers hidden: 1 votes, 1 rater(s)" in text
    assert text.index("| mockllm/model |") < text.index("checkerboard |")


def test_a_skipped_pair_is_no_vote(tmp_path):
    ratings = Ratings(tmp_path / FILE)
    ratings.enter("Ada", "person")
    for uid, answer in (("1", "skip"), ("2", "left")):
        ratings.show("Ada", Pair(uid, "hope", "a", "x", "b", "y"))
        ratings.vote("Ada", uid, answer, 1.0)
    ratings.close()
    (found,) = standings(tmp_path)
    assert found["votes"] == 1 and [one["maker"] for one in found["ranking"]] == ["a", "b"]


def test_what_breaks_the_rules_is_not_shown():
    assert shown(DRAWING.text()).text() == DRAWING.text() and shown("```json\n" + DRAWING.listed() + "\n```") is not None
    for text in ("", "{}", DRAWING.text().replace("0", "9"), '{"palette":["000000"],"grid":["0"]}'):
        assert shown(text) is None


def test_logs_that_are_not_there_are_bad_input(tmp_path):
    with pytest.raises(InputError, match="no Inspect log"):
        entries_of([tmp_path])


def test_labels_publish_no_folder():
    assert label("hf/local", {"model_path": "/home/somebody/models/small"}) == "hf/local (model_path=small)"
    assert label("pixelreef//home/somebody/adapters/a", {"force": True}) == "pixelreef/a (force=True)"
    assert kind_of("pixelreef-control/held-out") == HONEST and kind_of("pixelreef-control/noise") == DEGENERATE
    assert len(CONTROLS) == 11


def test_subjects_are_resampled_not_drawings():
    """Two subjects, the one always right and the other never: the interval is that of two, whatever the epochs."""
    scores = [("a", 1.0)] * 50 + [("b", 0.0)] * 50
    samples = [SimpleNamespace(id=i, scores={"ours": Score(value={"json_validity": v})}) for i, v in scores]
    facts = SimpleNamespace(model="x/y", model_args={}, task="bench_a", created="1", metadata=None)
    found = entry_of(SimpleNamespace(samples=samples, eval=facts))["scores"]["ours/json_validity"]
    assert found == {"mean": 0.5, "low": 0.0, "high": 1.0, "n": 2}
    assert "0.50" in markdown(merged([], [entry_of(SimpleNamespace(samples=samples, eval=facts))]))


@pytest.mark.parametrize("spoil", [{"metadata": {"classifier": {}}}, {"metadata": {"classifier": {"held_out": 7, "chance": []}}}])
def test_a_log_that_cannot_be_shown_leaves_the_leaderboard_as_it_is(spoil, run, one_subject, tmp_path):
    from inspect_ai.log import write_eval_log

    log = run(task.bench_a(one_subject, epochs=1), says(DRAWING.text()))
    write_eval_log(log.model_copy(update={"eval": log.eval.model_copy(update=spoil)}), str(tmp_path / "evil.json"))
    update([tmp_path / "logs"], tmp_path / "board")
    before = (tmp_path / "board.json").read_bytes()
    with pytest.raises(InputError, match=r"evil\.json: its scores or metadata cannot be shown"):
        update([tmp_path / "evil.json"], tmp_path / "board")
    assert (tmp_path / "board.json").read_bytes() == before
    (log.samples[0].scores or {})["ours"].value["json_validity"] = "word"
    write_eval_log(log, str(tmp_path / "word.json"))
    with pytest.raises(InputError, match=r"word\.json: its scores"):
        update([tmp_path / "word.json"], tmp_path / "board")


def test_a_maker_s_name_is_no_markup():
    strength = {"mean": 0.0, "low": -1.0, "high": 1.0}
    row = {"maker": "m | <img src=x>\n\n# owned", "strength": strength, "won": 1, "tied": 0, "lost": 0}
    told = {"kind": "person", "votes": 1, "raters": 1, "alike": 0, "repeated": 0, "ranking": [row]}
    text = rated_markdown([told])[-1]
    assert "m \\| &lt;img src=x&gt; \\# owned |" in text and len(text.splitlines()) == 3
