// The chosen drawing, large: dragging moves its light, or the line below which it is drawn anew.

import { size } from "./paint.js";
import { post } from "./server.js";

const $ = (id) => document.getElementById(id);
const SIDE = 512; // CSS pixels that the sprite may take
const SIDES = ["right", "upper right", "above", "upper left", "left", "lower left", "below", "lower right"];
const BRED = { complete: "one parent's top, the rest drawn anew", "cross palettes": "one parent in the other's hues", mutate: "a band of its parent drawn anew" };

export class Stage {
  constructor({ gallery, redraw, reuse, fault }) {
    Object.assign(this, { gallery, fault, drawing: null, watched: null, light: null, asking: false, stale: false });
    gallery.changed = () => this.tidy();
    const water = $("water");
    water.addEventListener("pointerdown", (event) => this.grab(event));
    water.addEventListener("pointermove", (event) => water.hasPointerCapture(event.pointerId) && this.drag(event));
    document.querySelectorAll("input[name=mode]").forEach((radio) => radio.addEventListener("change", () => this.tidy()));
    for (const id of ["azimuth", "elevation", "strength", "rim"]) $(id).addEventListener("input", () => this.lighten());
    $("keep").addEventListener("input", () => this.tidy());
    $("scale").addEventListener("change", () => this.tidy());
    $("dark").addEventListener("click", () => this.darken());
    $("redraw").addEventListener("click", () => redraw(this.drawing, Number($("keep").value)).catch(fault));
    $("reuse").addEventListener("click", () => reuse(this.drawing));
    $("pick").addEventListener("click", () => gallery.choose(this.drawing));
    $("remove").addEventListener("click", () => gallery.forget(this.drawing));
    addEventListener("resize", () => this.fit());
  }

  get mode() {
    return document.querySelector("input[name=mode]:checked").value;
  }

  blank(width, height) {
    size($("big"), width, height);
    this.tidy();
  }

  show(drawing) {
    this.watched = null;
    this.light = null;
    if (drawing && drawing.pixels.length !== this.drawing?.pixels.length) $("keep").value = Math.floor(drawing.pixels.length / 2);
    this.drawing = drawing;
    if (drawing) this.gallery.paint($("big"), drawing);
    this.tidy();
    this.fit();
  }

  // Shows a drawing while it grows, until it is finished or another one is chosen.
  watch(place) {
    this.drawing = this.light = null;
    this.watched = place;
    this.tidy();
    this.follow();
    this.fit();
  }

  follow() {
    if (!this.watched) return;
    const { canvas } = this.watched;
    if ($("big").width !== canvas.width || $("big").height !== canvas.height) {
      size($("big"), canvas.width, canvas.height);
      this.fit();
    }
    const context = $("big").getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(canvas, 0, 0);
  }

  // After a run: what was watched and did not get finished gives way to the newest drawing.
  settle() {
    if (this.watched) this.show([...this.gallery.items.values()].at(-1)?.drawing ?? null);
  }

  fit() {
    const canvas = $("big");
    const room = Math.min(SIDE, $("water").clientWidth - 40);
    const scale = Math.max(1, Math.floor(room / Math.max(canvas.width, canvas.height)));
    canvas.style.width = `${canvas.width * scale}px`;
    canvas.style.height = `${canvas.height * scale}px`;
    canvas.style.setProperty("--cell", `${scale}px`);
    this.place();
  }

  tidy() {
    const { drawing } = this;
    const mode = this.mode;
    $("empty").hidden = Boolean(drawing || this.watched);
    $("big").hidden = !$("empty").hidden;
    $("tools").hidden = !$("empty").hidden;
    for (const id of ["water", "tools"]) $(id).classList.toggle("growing", Boolean(this.watched));
    if (this.watched) $("title").textContent = this.watched.words;
    $("water").classList.toggle("bare", !drawing);
    $("water").dataset.mode = mode;
    $("light").hidden = mode !== "light";
    $("on").hidden = mode !== "cut";
    this.gallery.current(drawing);
    if (drawing) this.describe(drawing);
    this.place();
  }

  describe(drawing) {
    const { how } = drawing;
    const [height, width] = [drawing.pixels.length, drawing.pixels[0].length];
    $("title").textContent = drawing.caption;
    $("big").setAttribute("aria-label", `${drawing.caption}, ${width} by ${height} pixels`);
    const of = BRED[how.operation] ?? (how.continued && `${how.continued.replace(/ of .*/, "")} stood`);
    const more = [`temperature ${how.temperature}`, how.guidance && `guidance ${how.guidance}`, how.best_of > 1 && `best of ${how.best_of}`, of];
    $("how").textContent = [`${width}×${height}`, `seed ${how.seed}, number ${how.index}`, ...more].filter(Boolean).join(" · ");
    $("keep").max = height - 1;
    const turn = Number($("azimuth").value);
    output("azimuth", SIDES[Math.round(turn / 45) % 8]);
    output("elevation", `${$("elevation").value}°`);
    output("strength", Number($("strength").value).toFixed(1));
    output("keep", `${$("keep").value} of ${height}`);
    $("dark").disabled = !this.light;
    $("pick").setAttribute("aria-pressed", this.gallery.isParent(drawing));
    $("pick").textContent = this.gallery.isParent(drawing) ? "Chosen as parent" : "Choose as parent";
    const query = new URLSearchParams(this.light ? { light: JSON.stringify(this.light) } : {});
    $("json").href = `/play/drawings/${drawing.id}.json?${query}`;
    query.set("scale", $("scale").value);
    $("png").href = `/play/drawings/${drawing.id}.png?${query}`;
  }

  // Puts the sun and the line where they belong over the sprite.
  place() {
    const box = this.box();
    $("sun").hidden = !(this.drawing && this.light && this.mode === "light");
    $("cut").hidden = !(this.drawing && this.mode === "cut");
    const far = (1 - Number($("elevation").value) / 90) * box.radius;
    const turn = (Number($("azimuth").value) * Math.PI) / 180;
    $("sun").style.left = `${box.x + far * Math.cos(turn)}px`;
    $("sun").style.top = `${box.y - far * Math.sin(turn)}px`;
    $("cut").style.top = `${box.top + (box.height * Number($("keep").value)) / $("big").height}px`;
  }

  // The sprite's box in the water, in CSS pixels: middle, top, height, and how far out the light stands lowest.
  box() {
    const water = $("water").getBoundingClientRect();
    const big = $("big").getBoundingClientRect();
    const top = big.top - water.top;
    return { x: big.left - water.left + big.width / 2, y: top + big.height / 2, top, height: big.height, radius: big.width / 2 };
  }

  grab(event) {
    if (!this.drawing || event.button !== 0) return;
    $("water").setPointerCapture(event.pointerId);
    this.drag(event);
    event.preventDefault();
  }

  drag(event) {
    const water = $("water").getBoundingClientRect();
    const box = this.box();
    const [x, y] = [event.clientX - water.left - box.x, event.clientY - water.top - box.y];
    if (this.mode === "cut") {
      $("keep").value = Math.round(((y + box.height / 2) / box.height) * $("big").height);
      this.tidy();
      return;
    }
    $("azimuth").value = Math.round((Math.atan2(-y, x) * 180) / Math.PI + 360) % 360;
    $("elevation").value = Math.round(90 * (1 - Math.min(1, Math.hypot(x, y) / box.radius)));
    this.lighten();
  }

  lighten() {
    const number = (id) => Number($(id).value);
    this.light = { azimuth: number("azimuth"), elevation: number("elevation"), strength: number("strength"), rim: $("rim").checked };
    this.tidy();
    this.shine();
  }

  darken() {
    this.light = null;
    $("rim").checked = false;
    this.gallery.paint($("big"), this.drawing);
    this.tidy();
  }

  // Asks for the lit pixels, one request at a time; what moved meanwhile is asked for next.
  async shine() {
    this.stale = true;
    if (this.asking) return;
    this.asking = true;
    try {
      while (this.stale && this.light) {
        this.stale = false;
        const { drawing, light } = this;
        const { pixels } = await post("/play/light", { drawing: drawing.id, light });
        if (this.drawing === drawing && this.light) this.gallery.paint($("big"), drawing, pixels);
      }
    } catch (error) {
      this.fault(error);
    } finally {
      this.asking = false;
    }
  }
}

function output(id, words) {
  document.querySelector(`output[for=${id}]`).textContent = words;
}
