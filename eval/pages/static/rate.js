// The rating page: shows a pair, takes one answer, and shows the next one when that answer is on the disk.

import { painter, size } from "./paint.js";
import { get, post } from "./server.js";

const $ = (id) => document.getElementById(id);
const PATH = "/rate";
const GOAL = 100; // pairs a sitting
const LARGEST = 384; // screen pixels a side
const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "equal", ArrowDown: "both_bad", s: "skip", u: "undo" };
const ANSWERS = ["left", "right", "equal", "both_bad", "skip", "undo"];

let rater = null; // {rater, kind}
let pair = null;
let seen = 0; // when the pair came, on the page's clock
let isBusy = false;
const sitting = { votes: 0, begun: 0 };

function say(error) {
  $("error").textContent = error?.message ?? "";
}

// One request at a time; meanwhile no key counts.
async function ask(work, body) {
  if (isBusy) return null;
  isBusy = true;
  try {
    const found = await post(`${PATH}/${work}`, { ...rater, ...body });
    say();
    return found;
  } catch (error) {
    say(error);
    return null;
  } finally {
    isBusy = false;
  }
}

async function answer(word) {
  if (!rater || isBusy || (word !== "undo" && !pair)) return;
  $(word).classList.add("said");
  const seconds = Math.min(86_400, (performance.now() - seen) / 1000);
  const found = word === "undo" ? await ask("undo", {}) : await ask("vote", { uid: pair.uid, answer: word, seconds });
  $(word).classList.remove("said");
  if (!found) return;
  sitting.votes += word === "undo" ? -1 : 1;
  show(found);
}

function show(found) {
  pair = found.pair;
  $("who").hidden = true;
  $("contest").hidden = false;
  $("state").hidden = false;
  $("end").hidden = Boolean(pair);
  document.querySelector(".sides").hidden = !pair;
  for (const word of ANSWERS.slice(0, 5)) $(word).disabled = !pair;
  $("undo").disabled = !found.votes;
  $("caption").textContent = pair ? pair.caption || "no words" : "";
  if (pair) fit();
  seen = performance.now();
  tally(found.votes);
  $("told").textContent = pair ? `next: ${pair.caption}` : "all pairs are judged"; // for those who listen
}

// Both at the same scale, in whole screen pixels a pixel.
function fit() {
  if (!pair) return;
  const longest = Math.max(...["left", "right"].flatMap((side) => [pair[side].pixels.length, pair[side].pixels[0].length]));
  const room = Math.min(LARGEST, document.querySelector(".sides").clientWidth / 2 - 30, innerHeight - 330);
  const scale = Math.max(1, Math.floor(room / longest));
  for (const side of ["left", "right"]) {
    const { colours, pixels } = pair[side];
    const canvas = $(`${side}-canvas`);
    size(canvas, pixels[0].length, pixels.length);
    painter(colours)(canvas, pixels);
    $(side).dataset.empty = pixels.every((row) => row.every((entry) => !entry));
    canvas.style.width = `${canvas.width * scale}px`;
    canvas.style.height = `${canvas.height * scale}px`;
  }
}

function tally(votes) {
  const minutes = (performance.now() - sitting.begun) / 60_000;
  const pace = sitting.votes > 4 ? `, ${((minutes * 60) / sitting.votes).toFixed(1)} s each` : "";
  $("tally").textContent = `${rater.rater}: ${votes} ${votes === 1 ? "vote" : "votes"}; ${Math.max(0, sitting.votes)} in this sitting${pace}`;
  $("done").style.setProperty("--done", Math.min(1, Math.max(0, sitting.votes) / GOAL));
}

async function begin(name, kind) {
  rater = { rater: name, kind };
  const found = await ask("pair", {});
  if (!found) {
    rater = null;
    return;
  }
  localStorage.setItem("rater", JSON.stringify(rater));
  Object.assign(sitting, { votes: 0, begun: performance.now() });
  show(found);
  document.activeElement.blur(); // keys are for the page
}

function leave() {
  rater = pair = null;
  for (const id of ["contest", "state", "end"]) $(id).hidden = true;
  $("who").hidden = false;
  $("rater").focus();
}

$("who").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("rater").value.trim();
  if (name) begin(name, document.querySelector("input[name=kind]:checked").value);
});
for (const word of ANSWERS) {
  $(word).addEventListener("click", (event) => {
    event.currentTarget.blur(); // lest Enter or Space answer the next pair too
    answer(word);
  });
}
$("leave").addEventListener("click", leave);
document.addEventListener("keydown", (event) => {
  if (!rater || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const word = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!word) return;
  event.preventDefault();
  if (!event.repeat) answer(word); // a key held down answers once
});
addEventListener("resize", fit);

get(`${PATH}/run`).then((found) => {
  $("facts").textContent = `${found.name} · ${found.prompts} prompts`;
  document.title = `${found.name} · pixelreef rate`;
  $("raters").replaceChildren(...found.raters.map(({ name }) => new Option(name)));
  const known = JSON.parse(localStorage.getItem("rater") ?? "null");
  if (known) {
    $("rater").value = known.rater;
    document.querySelector(`input[name=kind][value=${known.kind}]`).checked = true;
  }
  $("who").hidden = false;
  $("rater").focus();
}).catch(say);
