// The play page: asks for drawings, shows them while they grow, and hands the chosen one to the stage.

import { Gallery } from "./gallery.js";
import { get, told } from "./server.js";
import { Stage } from "./stage.js";

const $ = (id) => document.getElementById(id);
const PATH = "/play";
const narrow = matchMedia("(max-width: 780px)");
let model = null;
let running = null; // AbortController of what is being drawn

const gallery = new Gallery({ show: (drawing) => stage.show(drawing), marry, fault: say });
const stage = new Stage({ gallery, redraw, reuse, fault: say });

function say(error) {
  $("error").textContent = error?.name === "AbortError" ? "" : (error?.message ?? "");
}

function tell(words) {
  $("told").textContent = words; // for those who listen
}

function chances() {
  return {
    seed: whole("seed", "Seed"), count: whole("count", "How many"),
    temperature: Number($("temperature").value), guidance: Number($("guidance").value),
  };
}

function whole(id, name) {
  const field = $(id);
  if (field.validity.valid && /^\d+$/.test(field.value)) return Number(field.value);
  field.focus();
  throw new Error(`${name}: a whole number from ${field.min} to ${field.max}`);
}

const OWN = "your own…";

function colours() {
  return $("palette").value === OWN ? $("colours").value.trim() || $("colours").placeholder : $("palette").value;
}

function asked(more = {}) {
  const [height, width] = model.sizes[$("size").selectedIndex];
  const prompt = $("prompt").value.trim();
  if (!prompt) {
    $("prompt").focus();
    throw new Error("Prompt: empty; say what to draw");
  }
  return { prompt, height, width, palette: colours(), best_of: Number($("best_of").value), ...chances(), ...more };
}

// One run: places for what is asked, filled row by row. shape: {height, width, words, candidates, above: rows that stand}
async function run(path, body, shape) {
  say();
  running?.abort();
  const mine = (running = new AbortController());
  const begun = performance.now();
  const places = gallery.grow(body.count, shape);
  stage.watch(places[0]);
  if (narrow.matches) $("water").scrollIntoView({ block: "center" });
  busy(true);
  progress("beginning", 0);
  tell(`drawing ${body.count}`);
  let finished = 0;
  try {
    for await (const event of told(`${PATH}/${path}`, body, mine.signal)) {
      if (event.event === "waiting") progress(`waiting for ${event.ahead} before this`, 0);
      if (event.event === "row") grow(places, event, shape);
      if (event.event === "sprite") {
        finished += 1;
        const drawing = gallery.finish(places[event.slot], event.drawing);
        if (places[event.slot] === stage.watched) stage.show(drawing);
      }
      if (event.event === "left_out") places[event.slot].why = event.words;
    }
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    const left = places.filter((place) => place.why);
    const aside = left.length ? `; ${left.length} left out (${left[0].why})` : "";
    if (running === mine) done(`${finished} drawn in ${seconds} s${aside}`);
  } catch (error) {
    if (running === mine) {
      say(error);
      done(error.name === "AbortError" ? "stopped" : "");
    }
  } finally {
    places.forEach((place) => gallery.drop(place));
    if (running === mine) { // else another run has the page
      stage.settle();
      running = null;
      busy(false);
    }
  }
}

function grow(places, event, shape) {
  for (const [slot, candidate, row] of event.rows) gallery.row(places[slot], candidate, event.y, row);
  stage.follow();
  const share = (event.y + 1) / shape.height;
  progress(`row ${event.y + 1} of ${shape.height}`, share);
  if (event.y + 1 === Math.floor(shape.height / 2)) tell("half drawn");
}

function progress(words, share) {
  $("progress").textContent = words;
  $("progress").style.setProperty("--done", share);
}

function done(words) {
  progress(words, 0);
  tell(words);
}

function busy(is) {
  $("draw").disabled = is;
  $("stop").hidden = !is;
}

function renew(seed) {
  if ($("fresh").checked && Number($("seed").value) === seed) $("seed").value = Math.floor(Math.random() * 1e6);
}

async function draw() {
  const body = asked();
  await run("draw", body, { ...body, words: body.prompt, candidates: body.best_of, above: [] });
  renew(body.seed);
}

// The rest of a drawing below the first `rows`: never with its own seed, whose noise would draw the same again.
async function redraw(drawing, rows) {
  const [height, width] = [drawing.pixels.length, drawing.pixels[0].length];
  const body = asked({ height, width, continued: drawing.id, keep_rows: rows });
  if (body.seed === drawing.how.seed) body.seed += 1;
  await run("draw", body, { ...body, words: body.prompt, candidates: body.best_of, above: drawing.pixels.slice(0, rows) });
  renew(body.seed);
}

async function marry(parents) {
  const body = { ...chances(), parents: parents.map((parent) => parent.id) };
  const [{ pixels }] = parents;
  const words = parents.map((parent) => parent.caption).join(" × ");
  await run("breed", body, { height: pixels.length, width: pixels[0].length, words, candidates: 1, above: [] });
  renew(body.seed);
}

function reuse(drawing) {
  $("prompt").value = drawing.caption;
  $("seed").value = drawing.how.seed;
  for (const name of ["temperature", "guidance"]) $(name).value = drawing.how[name];
  $("best_of").value = drawing.how.best_of;
  $("fresh").checked = false;
  outputs();
  $("prompt").focus();
}

function outputs() {
  for (const name of ["temperature", "guidance"]) {
    const value = Number($(name).value);
    document.querySelector(`output[for=${name}]`).textContent = name === "guidance" && !value ? "off" : value.toFixed(2);
  }
}

function offer() {
  for (const [height, width] of model.sizes) $("size").add(new Option(`${width} × ${height}`));
  for (const palette of model.palettes) $("palette").add(new Option(palette.name, palette.name));
  $("palette").add(new Option(OWN, OWN));
  const [first] = model.sizes;
  $("facts").textContent = `${model.name} · draws ${model.sizes.map(([h, w]) => `${w}×${h}`).join(", ")}`;
  document.title = `${model.name} · pixelreef play`;
  stage.blank(first[1], first[0]);
  swatches();
}

function swatches() {
  const isOwn = $("palette").value === OWN;
  $("own").hidden = !isOwn;
  const shown = isOwn ? (colours().match(/[0-9a-f]{6}/gi) ?? []) : model.palettes[$("palette").selectedIndex].colours;
  $("swatches").classList.toggle("many", shown.length > 14);
  $("swatches").replaceChildren(...shown.map((colour) => {
    const swatch = document.createElement("i");
    swatch.style.background = `#${colour}`;
    return swatch;
  }));
}

const attempt = (work) => (event) => {
  event.preventDefault();
  Promise.resolve().then(work).catch(say);
};

$("ask").addEventListener("submit", attempt(draw));
$("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) attempt(() => $("draw").disabled || draw())(event);
});
$("stop").addEventListener("click", () => running?.abort());
document.addEventListener("keydown", (event) => event.key === "Escape" && running?.abort());
document.querySelectorAll(".examples button").forEach((button) =>
  button.addEventListener("click", () => {
    $("prompt").value = button.textContent;
    $("prompt").focus();
  }));
$("palette").addEventListener("change", swatches);
$("colours").addEventListener("input", swatches);
for (const name of ["temperature", "guidance"]) $(name).addEventListener("input", outputs);

$("more").open = !narrow.matches;
outputs();
get(`${PATH}/model`).then((found) => {
  model = found;
  gallery.learn(model.palettes[0].colours);
  offer();
  for (const drawing of model.kept) gallery.add(drawing);
  if (model.kept.length) stage.show(model.kept.at(-1));
}).catch(say);
