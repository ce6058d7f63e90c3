// The curate page: cells, their contact sheets, a cursor, and a decision for each sprite.

import { Contact, enlarge, trace } from "./contact.js";
import { ACCEPT, Ledger, NONE, REJECT, WORDS } from "./ledger.js";
import { get, post } from "./server.js";

const $ = (id) => document.getElementById(id);
const PATH = "/curate";
const TURN = { [NONE]: REJECT, [REJECT]: ACCEPT, [ACCEPT]: NONE };
const SIDES = [64, 96, 128];
const LOUPE = 192;
const narrow = matchMedia("(max-width: 780px)");
const name = (word) => word.replaceAll("_", " ");
const many = (count) => count.toLocaleString("en");
const sheets = new Map(); // numbers → promise of their sheet

let corpus = null;
let ledger = null;
let cell = 0;
let shown = []; // numbers of the cell that pass the filter, as they were when it was entered
let sheet = 0;
let doing = Promise.resolve(); // one thing after another, lest a key meant for the next sheet meet this one

const contact = new Contact($("sprites"), { moved: describe, pressed: (picture) => attempt(() => turn(picture))() });

function say(error) {
  $("error").textContent = error?.message ?? "";
}

function tell(words) {
  $("told").textContent = words; // for those who listen
}

// Where one is

// Enters a cell, at a picture where one is given, else at its first sheet.
async function enter(index, number = null) {
  cell = index;
  const { start, count } = corpus.cells[cell];
  const all = Array.from({ length: count }, (_, at) => start + at);
  shown = $("only").checked ? all.filter((one) => one === number || ledger.marks[one] === NONE) : all;
  const at = Math.max(0, shown.indexOf(number));
  await turnTo(Math.floor(at / corpus.sheet), at % corpus.sheet);
}

const last = () => Math.max(0, Math.ceil(shown.length / corpus.sheet) - 1);
const numbers = (which) => shown.slice(which * corpus.sheet, (which + 1) * corpus.sheet);

async function turnTo(which, at = 0) {
  const found = shown.length ? await load(numbers(which)) : { pictures: [], palettes: {} };
  sheet = which;
  contact.show(found, ledger.marks);
  tidy();
  contact.move(at);
  if (sheet < last()) load(numbers(sheet + 1)).catch(() => {}); // ahead of time
}

function load(which) {
  const key = which.join();
  if (!sheets.has(key)) {
    const promise = post(`${PATH}/sheet`, { numbers: which });
    promise.catch(() => sheets.delete(key));
    sheets.set(key, promise);
    if (sheets.size > 8) sheets.delete(sheets.keys().next().value);
  }
  return sheets.get(key);
}

// The next cell in one direction, round and round; with the filter on one that has something left. None: stays.
function neighbour(step) {
  const { length } = corpus.cells;
  for (let far = 1; far <= length; far += 1) {
    const index = (cell + step * far + length * far) % length;
    const { start, count } = corpus.cells[index];
    if (!$("only").checked || ledger.count(start, count).left) return index;
  }
  return cell;
}

// Past either end of a sheet comes the next one, of this cell or of another.
async function beyond(step) {
  if (step > 0 ? sheet < last() : sheet > 0) return turnTo(sheet + step, step > 0 ? 0 : corpus.sheet - 1);
  await enter(neighbour(step));
  if (step < 0) await turnTo(last(), corpus.sheet - 1);
}

async function step(far) {
  const at = contact.at + far;
  if (at >= 0 && at < contact.tiles.length) contact.move(at);
  else if (Math.abs(far) === 1) await beyond(far);
}

// What is decided

const to = (picture, mark) => ({ number: picture.number, id: picture.id, to: mark });

function decide(picture, mark) {
  if (!picture) return;
  ledger.decide([to(picture, mark)]);
  tell(`${WORDS[mark]}: ${picture.caption}; ${many(left())} left in this cell`);
}

function turn(picture) {
  if (picture) decide(picture, TURN[ledger.marks[picture.number]]);
}

async function decideAndGo(mark) {
  decide(contact.current, mark);
  await step(1);
}

function acceptRest() {
  const rest = contact.pictures.filter(({ number }) => ledger.marks[number] === NONE);
  ledger.decide(rest.map((picture) => to(picture, ACCEPT)));
  tell(`${rest.length} accepted`);
}

async function undo() {
  const taken = ledger.undo();
  if (!taken) return;
  const { number } = taken.at(-1);
  tell(`undone; ${taken.length > 1 ? `${taken.length} sprites` : WORDS[ledger.marks[number]]}`);
  const at = contact.pictures.findIndex((picture) => picture.number === number);
  if (at >= 0) contact.move(at);
  else await enter(corpus.cells.findIndex(({ start, count }) => number >= start && number < start + count), number);
}

// What is seen

function left() {
  const { start, count } = corpus.cells[cell];
  return ledger.count(start, count).left;
}

function tidy() {
  const total = ledger.count();
  const all = ledger.marks.length;
  $("tally").textContent = counted(all, total);
  $("tally").dataset.unsaved = ledger.unsaved;
  for (const part of ["accepted", "rejected"]) $("meter").querySelector(`.${part}`).style.flexGrow = total[part] / all;
  document.querySelectorAll("#cells button").forEach((button) => count(button));
  const { zone, category, start, count: size } = corpus.cells[cell];
  const here = ledger.count(start, size);
  $("cell").textContent = heading(zone, category);
  $("of-cell").textContent = counted(size, here);
  $("of-sheet").textContent = last() ? `sheet ${sheet + 1} of ${last() + 1}` : "one sheet";
  $("back").disabled = sheet === 0;
  $("forth").disabled = sheet === last();
  $("nothing").hidden = shown.length > 0;
  $("nothing").textContent = total.left ? "Nothing undecided is left in this cell; N goes to the next." : "Everything is decided.";
  $("rest").disabled = !contact.pictures.some(({ number }) => ledger.marks[number] === NONE);
  $("undo").disabled = !ledger.done.length;
  contact.mark(ledger.marks);
  describe(contact.current);
}

function counted(all, { accepted, rejected, left: undecided }) {
  return `${many(all)} sprites: ${many(accepted)} accepted, ${many(rejected)} rejected, ${many(undecided)} left`;
}

function where({ file, shared, elsewhere }) {
  const kept = `Every decision is on disk at once, in ${file}.`;
  const used = "The next prepare whose recipe says “curation:” with this file leaves out what was rejected; what is undecided stays.";
  const twins = shared ? `${many(shared)} sprites share their name with another source's and are decided together.` : "";
  const gone = elsewhere ? `${many(elsewhere)} rejected before are no longer in this dataset; to have one back, delete its lines.` : "";
  return [kept, used, twins, gone].filter(Boolean).join(" ");
}

function heading(zone, category) {
  const known = [zone, category].filter((word) => word !== "none").map(name);
  return known.length ? known.join(" · ") : "without zone and category";
}

function describe(picture) {
  $("loupe").dataset.empty = !picture;
  const mark = picture ? ledger.marks[picture.number] : NONE;
  for (const [id, own] of [["accept", ACCEPT], ["reject", REJECT]]) {
    $(id).disabled = !picture;
    $(id).setAttribute("aria-pressed", Boolean(picture) && mark === own);
  }
  $("caption").textContent = picture ? picture.caption || "no caption" : "";
  $("facts-of").textContent = "";
  if (!picture) return;
  const [height, width] = [picture.pixels.length, picture.pixels[0].length];
  $("facts-of").textContent = [`${width}×${height}`, picture.name, picture.source, picture.licence].filter(Boolean).join(" · ");
  $("big").setAttribute("aria-label", `${picture.caption}, ${width} by ${height} pixels, ${WORDS[mark]}`);
  trace($("big"), picture);
  enlarge($("big"), narrow.matches ? 64 : LOUPE);
}

function draw() {
  const head = $("cells").tHead.rows[0];
  head.replaceChildren(document.createElement("td"), ...corpus.zones.map((zone) => header(zone, "col")));
  $("cells").tBodies[0].replaceChildren(...corpus.categories.map((category) => {
    const row = document.createElement("tr");
    row.append(header(category, "row"), ...corpus.zones.map((zone) => place(zone, category)));
    return row;
  }));
}

function header(word, scope) {
  const found = document.createElement("th");
  found.scope = scope;
  found.textContent = name(word);
  return found;
}

function place(zone, category) {
  const index = corpus.cells.findIndex((one) => one.zone === zone && one.category === category);
  const found = document.createElement("td");
  if (index < 0) return found;
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.cell = index;
  button.addEventListener("click", attempt(() => enter(index)));
  found.append(button);
  return found;
}

function count(button) {
  const index = Number(button.dataset.cell);
  const { zone, category, start, count: size } = corpus.cells[index];
  const here = ledger.count(start, size);
  button.textContent = here.left ? many(here.left) : "✓";
  button.style.setProperty("--done", 1 - here.left / size);
  button.setAttribute("aria-current", index === cell);
  button.setAttribute("aria-label", `${heading(zone, category)}: ${here.left} of ${size} left, ${here.rejected} rejected`);
}

function resize(side) {
  $("side").value = side;
  contact.fit(Number(side));
  localStorage.setItem("curate side", side);
  contact.move(contact.at);
}

// Keys

const KEYS = {
  a: () => decideAndGo(ACCEPT),
  r: () => decideAndGo(REJECT),
  A: acceptRest,
  u: undo,
  n: () => enter(neighbour(1)),
  p: () => enter(neighbour(-1)),
  f: () => $("only").click(),
  z: () => resize(SIDES[(SIDES.indexOf(contact.side) + 1) % SIDES.length]),
  "?": () => $("help").showModal(),
  Home: () => contact.move(0),
  End: () => contact.move(contact.tiles.length - 1),
  PageUp: () => (sheet ? turnTo(sheet - 1) : null),
  PageDown: () => (sheet < last() ? turnTo(sheet + 1) : null),
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  ArrowUp: () => step(-contact.columns),
  ArrowDown: () => step(contact.columns),
  " ": () => turn(contact.current),
};
const OWN = /^(Home|End|Page|Arrow| )/; // what a select, a checkbox or a button needs for itself

function press(event) {
  if (!corpus || $("help").open || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const letter = event.shiftKey ? event.key.toUpperCase() : event.key.toLowerCase(); // whatever Caps Lock says
  const key = event.key.length === 1 ? letter : event.key;
  const work = KEYS[key];
  const { target } = event;
  const isSheet = target === document.body || $("sprites").contains(target);
  if (!work || (!isSheet && (OWN.test(key) || target.tagName === "SELECT"))) return;
  event.preventDefault();
  attempt(work)();
}

function attempt(work) {
  return () => {
    doing = doing.then(work).catch(say);
  };
}

const CLICKS = {
  accept: () => decideAndGo(ACCEPT), reject: () => decideAndGo(REJECT), rest: acceptRest, undo,
  next: () => enter(neighbour(1)), previous: () => enter(neighbour(-1)),
  back: () => turnTo(sheet - 1), forth: () => turnTo(sheet + 1), "ask-keys": () => $("help").showModal(),
};
for (const [id, work] of Object.entries(CLICKS)) $(id).addEventListener("click", attempt(work));
$("only").addEventListener("change", attempt(() => enter(cell, contact.current?.number)));
$("side").addEventListener("change", () => resize($("side").value));
document.addEventListener("keydown", press);
document.addEventListener("visibilitychange", () => document.hidden || ledger?.refresh().catch(say));
addEventListener("focus", () => ledger?.refresh().catch(say));
addEventListener("beforeunload", (event) => ledger?.unsaved && event.preventDefault());

get(`${PATH}/corpus`).then((found) => {
  corpus = found;
  ledger = new Ledger(found, { changed: tidy, fault: say });
  $("title").textContent = `Curate ${found.name}`;
  document.title = `${found.name} · pixelreef curate`;
  $("facts").textContent = `${many(found.marks.length)} sprites in ${found.cells.length} cells`;
  $("where").textContent = where(found);
  draw();
  $("map").open = !narrow.matches;
  contact.fit(Number(localStorage.getItem("curate side") ?? (narrow.matches ? 64 : 96)));
  $("side").value = contact.side;
  const first = found.cells.findIndex(({ start, count: size }) => ledger.count(start, size).left);
  attempt(() => enter(Math.max(0, first)))(); // keys that were pressed meanwhile come after it
}).catch(say);
