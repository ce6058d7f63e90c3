// One contact sheet: sprites as tiles in rows, one of them under the cursor.

import { painter, size } from "./paint.js";
import { WORDS } from "./ledger.js";

const SIGNS = { ".": "", a: "✓", r: "✕" };

export class Contact {
  // list: the <ul>; moved(picture): the cursor is elsewhere; pressed(picture): a tile was clicked
  constructor(list, { moved, pressed }) {
    Object.assign(this, { list, moved, pressed, pictures: [], tiles: [], at: 0, side: 64 });
  }

  get current() {
    return this.pictures[this.at] ?? null;
  }

  show({ pictures, palettes }, marks) {
    const painters = Object.fromEntries(Object.entries(palettes).map(([hash, colours]) => [hash, painter(colours)]));
    this.pictures = pictures.map((picture) => ({ ...picture, paint: painters[picture.palette] }));
    this.tiles = this.pictures.map((picture) => this.tile(picture));
    this.list.replaceChildren(...this.tiles.map((tile) => tile.parentElement));
    this.mark(marks);
    this.fit();
  }

  tile(picture) {
    const [tile, canvas] = ["button", "canvas"].map((name) => document.createElement(name));
    const item = document.createElement("li");
    tile.type = "button";
    tile.tabIndex = -1;
    trace(canvas, picture);
    tile.append(canvas);
    item.append(tile);
    tile.addEventListener("click", () => {
      this.move(this.pictures.indexOf(picture), false);
      this.pressed(picture);
    });
    return tile;
  }

  // Sizes in whole screen pixels a pixel.
  fit(side = this.side) {
    this.side = side;
    this.list.style.setProperty("--side", `${side}px`);
    for (const tile of this.tiles) enlarge(tile.firstChild, side);
  }

  mark(marks) {
    this.pictures.forEach(({ number, caption }, at) => {
      const tile = this.tiles[at];
      const words = WORDS[marks[number]];
      tile.dataset.mark = words;
      tile.dataset.sign = SIGNS[marks[number]];
      tile.setAttribute("aria-label", `${caption || "no caption"}, ${words}`);
    });
  }

  // is_led: by a key, so that the tile is brought into view and takes the focus
  move(at, isLed = true) {
    this.tiles[this.at]?.removeAttribute("aria-current");
    if (this.tiles[this.at]) this.tiles[this.at].tabIndex = -1;
    this.at = Math.max(0, Math.min(at, this.tiles.length - 1));
    const tile = this.tiles[this.at];
    if (tile) {
      tile.tabIndex = 0;
      tile.setAttribute("aria-current", "true");
      if (isLed) {
        tile.focus({ preventScroll: true });
        tile.scrollIntoView({ block: "nearest" });
      }
    }
    this.moved(this.current);
  }

  get columns() {
    const top = this.tiles[0]?.offsetTop;
    const next = this.tiles.findIndex((tile) => tile.offsetTop !== top);
    return next < 0 ? this.tiles.length : next;
  }
}

export function trace(canvas, { pixels, paint }) {
  size(canvas, pixels[0].length, pixels.length);
  paint(canvas, pixels);
}

export function enlarge(canvas, side) {
  const scale = Math.max(1, Math.floor(side / Math.max(canvas.width, canvas.height)));
  canvas.style.width = `${canvas.width * scale}px`;
  canvas.style.height = `${canvas.height * scale}px`;
}
