"""`pixelreef play`: draw by hand in the browser, see sprites appear row by row, light them, breed them, draw on from a row.

Reads a generator; writes nothing but what the browser downloads. Drawings and children are streamed as lines of JSON.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from eval.generators import Generator
from eval.pages.asked import AskedChildren, AskedDrawings, AskedLight, AskedLighting
from eval.pages.jobs import Worker
from eval.pages.server import Page, listen, serve
from eval.pages.studio import Kept, Studio

PATH = "/play"


def play_page(generator: Generator, told: Mapping | None = None) -> Page:
    """The page of one generator. told: what PNGs say of it."""
    worker = Worker()
    return Page(PATH, "Play", routes(Studio(generator, told or {}), worker), worker.close)


def routes(studio: Studio, worker: Worker) -> APIRouter:
    router = APIRouter()

    @router.get("/model")
    def model() -> dict:
        return {**studio.facts(), "kept": [kept.to_json() for kept in list(studio.kept.values())]}

    @router.post("/draw")
    async def draw(asked: AskedDrawings) -> StreamingResponse:
        return _lines(worker.stream(studio.drawing_work(asked)))

    @router.post("/breed")
    async def breed(asked: AskedChildren) -> StreamingResponse:
        return _lines(worker.stream(studio.breeding_work(asked)))

    @router.post("/light")
    def light(asked: AskedLighting) -> dict:
        return {"pixels": studio.drawing(asked.drawing).lit(asked.light.light()).sprite.grid.tolist()}

    _add_downloads(router, studio)
    return router


def _add_downloads(router: APIRouter, studio: Studio) -> None:
    """Files of a drawing: as it is, or under the light of the query."""

    @router.get("/drawings/{number}.png")
    def png(number: str, scale: Annotated[int, Query(ge=1, le=64)] = 1, light: str | None = None) -> Response:
        kept = _lit(studio.drawing(number), light)
        return _file(kept.png(scale), "image/png", f"{kept.stem}.png")

    @router.get("/drawings/{number}.json")
    def grid_text(number: str, light: str | None = None) -> Response:
        kept = _lit(studio.drawing(number), light)
        return _file(kept.grid_text(), "application/json", f"{kept.stem}.json")

    @router.delete("/drawings/{number}")
    def forget(number: str) -> Response:
        studio.kept.pop(number, None)
        return Response(status_code=204)


def _lit(kept: Kept, light: str | None) -> Kept:
    return kept if light is None else kept.lit(AskedLight.read(light).light())


def _file(data: bytes | str, kind: str, name: str) -> Response:
    return Response(data, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})


def _lines(events: AsyncGenerator[dict]) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        async with aclosing(events):  # lest the job outlive its listener
            async for event in events:
                yield json.dumps(event, separators=(",", ":")) + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


def play(options) -> None:
    """Loads the generator of `options` and serves the page until Ctrl-C. Raises InputError."""
    from eval.draw import REPOSITORY, load_model, model_told, newest_adapter
    from eval.order import MODELS

    with listen(options.port) as listener:  # before the model, which takes seconds
        if all(getattr(options, key) is None for key in MODELS):
            options.adapter = newest_adapter(Path("runs"), REPOSITORY / "adapters")
        generator = load_model(options)
        serve([play_page(generator, model_told(options, generator))], listener, options.open)
