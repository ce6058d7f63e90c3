// All drawings as tiles, the newest first; those that grow; and the two that are chosen as parents.

import { mark, painter, size } from "./paint.js";
import { remove } from "./server.js";

const $ = (id) => document.getElementById(id);

export class Gallery {
  constructor({ show, marry, fault }) {
    this.parents = [];
    this.items = new Map(); // id → {drawing, item, tile, parent}
    Object.assign(this, { show, marry, fault });
    $("breed").addEventListener("click", () => this.marry(this.parents).catch(this.fault));
    this.settle();
  }

  // colours: of what is drawn, before it is brought to others
  learn(colours) {
    this.raw = painter(colours);
  }

  paint(canvas, drawing, pixels = drawing.pixels) {
    size(canvas, pixels[0].length, pixels.length);
    painter(drawing.colours)(canvas, pixels);
  }

  // Empty places for `count` drawings, in front. A place shows all candidates side by side.
  grow(count, shape) {
    const places = Array.from({ length: count }, () => {
      const across = Math.ceil(Math.sqrt(shape.candidates));
      const { item, tile, canvas } = bare("being drawn");
      item.classList.add("growing");
      tile.disabled = true;
      size(canvas, across * shape.width, Math.ceil(shape.candidates / across) * shape.height);
      const place = { item, canvas, across, shape, words: shape.words };
      for (let candidate = 0; candidate < shape.candidates; candidate += 1) {
        this.raw(canvas, shape.above, ...corner(place, candidate));
      }
      return place;
    });
    $("tiles").prepend(...places.map((place) => place.item));
    this.settle();
    return places;
  }

  row(place, candidate, y, entries) {
    const [top, left] = corner(place, candidate);
    this.raw(place.canvas, [entries], top + y, left);
    if (y + 1 < place.shape.height) mark(place.canvas, top + y + 1, left, place.shape.width);
  }

  finish(place, drawing) {
    this.add(drawing, place.item);
    return drawing;
  }

  drop(place) {
    if (place.item.isConnected) place.item.remove();
    this.settle();
  }

  add(drawing, instead = null) {
    const { item, tile, canvas } = bare(`${drawing.caption}, seed ${drawing.how.seed}`);
    this.paint(canvas, drawing);
    const parent = document.createElement("button");
    Object.assign(parent, { type: "button", className: "parent", textContent: "♥", title: "Choose as parent" });
    parent.setAttribute("aria-label", `choose as parent: ${drawing.caption}, seed ${drawing.how.seed}`);
    const words = document.createElement("p");
    words.textContent = drawing.caption;
    item.append(parent, words);
    item.dataset.id = drawing.id;
    tile.addEventListener("click", () => this.show(drawing));
    tile.addEventListener("keydown", (event) => this.key(event, drawing));
    parent.addEventListener("click", () => this.choose(drawing));
    this.items.set(drawing.id, { drawing, item, tile, parent });
    if (instead) instead.replaceWith(item);
    else $("tiles").prepend(item);
    this.settle();
  }

  key(event, drawing) {
    if (event.key === "p" || event.key === "P") this.choose(drawing);
    else if (event.key === "Delete") this.forget(drawing);
    else return;
    event.preventDefault();
  }

  current(drawing) {
    for (const [id, { tile }] of this.items) tile.setAttribute("aria-current", id === drawing?.id);
  }

  isParent(drawing) {
    return this.parents.includes(drawing);
  }

  // Chosen or no longer; of three the first goes.
  choose(drawing) {
    this.parents = this.isParent(drawing) ? this.parents.filter((one) => one !== drawing) : [...this.parents, drawing].slice(-2);
    this.settle();
  }

  async forget(drawing) {
    const { item } = this.items.get(drawing.id);
    const next = item.nextElementSibling ?? item.previousElementSibling;
    const had = item.contains(document.activeElement);
    item.remove();
    this.items.delete(drawing.id);
    this.parents = this.parents.filter((one) => one !== drawing);
    this.settle();
    const other = this.items.get(next?.dataset.id);
    this.show(other?.drawing ?? null);
    if (had) other?.tile.focus();
    await remove(`/play/drawings/${drawing.id}`).catch(this.fault);
  }

  settle() {
    $("keys").hidden = !this.items.size;
    for (const { drawing, parent } of this.items.values()) parent.setAttribute("aria-pressed", this.isParent(drawing));
    ["first", "second"].forEach((which, at) => {
      const canvas = $(`parent-${at}`);
      const drawing = this.parents[at];
      canvas.setAttribute("aria-label", `${which} parent: ${drawing ? drawing.caption : "none"}`);
      if (drawing) this.paint(canvas, drawing);
      else size(canvas, 16, 16);
    });
    $("breed").disabled = this.parents.length < 2;
    $("pair-hint").hidden = !this.items.size || this.parents.length === 2;
    this.changed?.();
  }
}

function bare(label) {
  const item = document.createElement("li");
  const tile = document.createElement("button");
  const canvas = document.createElement("canvas");
  tile.type = "button";
  tile.className = "tile";
  tile.setAttribute("aria-label", label);
  tile.append(canvas);
  item.append(tile);
  return { item, tile, canvas };
}

// Row and column where a candidate's pixels begin on its place.
function corner({ across, shape }, candidate) {
  return [Math.floor(candidate / across) * shape.height, (candidate % across) * shape.width];
}
