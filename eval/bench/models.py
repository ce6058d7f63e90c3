"""Our models as Inspect model APIs: `pixelreef/<adapter or base model>` and `pixelreef-control/<control>`.

    --model pixelreef/adapters/smollm2-135m-reef-16 -M force=true     an adapter, asked in its own words
    --model pixelreef/smollm2-135m -M mode=unconstrained              a bare base model, asked with the bench's prompt
    --model pixelreef-control/checkerboard -M dataset=datasets/packs24

mode: grammar (default; every answer is valid) or unconstrained. ask: `own`, the prompt that adapters are trained on, with
the answer rewritten in the bench's format (transparent becomes a ground colour, the least used colours give way to ten), or
`bench`, the bench's prompt as it stands; by default `own` for an adapter and `bench` for a base model and for an adapter that
was trained on the task `bench`, whose answers to prompt B are those to prompt A, rewritten. An adapter that was
not trained on 24×24 says so and does not draw, unless force=true. Registered by the entry point in pyproject.toml.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
from inspect_ai._util.error import PrerequisiteError  # there is no public name for it
from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput, ModelUsage, modelapi
from inspect_ai.tool import ToolChoice, ToolInfo

from data_prep.errors import InputError
from eval.bench.drawing import Control, Drawn, ReefModel, check_arguments
from eval.generators import GRAMMAR

BATCH = 16
_GATHERING = 0.05  # seconds in which questions that come together join a batch


@contextmanager
def _said_plainly() -> Iterator[None]:
    """Inspect prints this error of its own as a line, and a stack of calls for any other."""
    try:
        yield
    except InputError as error:
        raise PrerequisiteError(str(error)) from error


@dataclass(eq=False)
class _Asked:
    prompt: str
    index: int  # how often the same prompt was asked before: an epoch's drawings differ
    config: GenerateConfig
    answer: Drawn | None = None


class _Answering(ModelAPI):
    """Answers prompts in batches, one batch at a time, off the event loop. `work` draws them."""

    work: ReefModel | Control

    def _prepare(self, seed: int | None) -> None:
        self.seed = seed or 0
        self.asked_before: Counter[str] = Counter()
        self.waiting: list[_Asked] = []
        self.turn = anyio.Lock()

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        prompt = input[-1].text
        mine = _Asked(prompt, self.asked_before[prompt], config)
        self.asked_before[prompt] += 1
        self.waiting.append(mine)
        try:
            while mine.answer is None:
                async with self.turn:
                    if mine.answer is None:
                        await anyio.sleep(_GATHERING)
                        batch = [asked for asked in self.waiting if asked.answer is None][:BATCH]
                        for asked, answer in zip(batch, await anyio.to_thread.run_sync(self._draw, batch), strict=True):
                            asked.answer = answer
        finally:  # not before: when a batch fails, what else was in it is asked again
            self.waiting.remove(mine)
        return self._output(mine.answer)

    def _draw(self, batch: list[_Asked]) -> list[Drawn]:
        return self.work.draw([(asked.prompt, self.seed, asked.index) for asked in batch], batch[0].config)

    def _output(self, drawn: Drawn) -> ModelOutput:
        output = ModelOutput.from_content(self.model_name, drawn.text, "max_tokens" if drawn.is_cut else "stop")
        output.usage = ModelUsage(output_tokens=drawn.tokens, total_tokens=drawn.tokens)
        output.time, output.metadata = drawn.seconds, drawn.told
        return output

    def max_connections(self) -> int:
        return BATCH


@modelapi(name="pixelreef")
def pixelreef():
    class PixelreefAPI(_Answering):
        """`pixelreef/<name>`: an adapter's folder, a name under adapters/ or runs/, or a base model."""

        def __init__(
            self,
            model_name: str,
            base_url: str | None = None,
            api_key: str | None = None,
            config: GenerateConfig = GenerateConfig(),  # noqa: B008 (Inspect's signature)
            mode: str = GRAMMAR,
            ask: str | None = None,
            force: bool = False,
            base: str | None = None,
        ):
            super().__init__(model_name, base_url, api_key, [], config)
            self._prepare(config.seed)
            with _said_plainly():
                check_arguments(mode, ask)
                self.work = ReefModel.load(model_name, base, mode, ask, force)

    return PixelreefAPI


@modelapi(name="pixelreef-control")
def pixelreef_control():
    class ControlAPI(_Answering):
        """`pixelreef-control/<name>`: a degenerate control, or `held-out`, a sprite that no model was trained on."""

        def __init__(
            self,
            model_name: str,
            base_url: str | None = None,
            api_key: str | None = None,
            config: GenerateConfig = GenerateConfig(),  # noqa: B008 (Inspect's signature)
            dataset: str | None = None,
        ):
            super().__init__(model_name, base_url, api_key, [], config)
            self._prepare(config.seed)
            with _said_plainly():
                self.work = Control.named(model_name, dataset)

    return ControlAPI
