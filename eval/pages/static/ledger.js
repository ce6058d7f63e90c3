// What is decided: the page's copy of the file. A mark changes at once and goes back where the server could not write it.

import { get, post } from "./server.js";

export const NONE = ".";
export const ACCEPT = "a";
export const REJECT = "r";
export const WORDS = { [NONE]: "undecided", [ACCEPT]: "accepted", [REJECT]: "rejected" };
const SENT = { [NONE]: "none", [ACCEPT]: "accept", [REJECT]: "reject" };
const PATH = "/curate/decisions";

export class Ledger {
  // changed(): marks may be others than before; fault(error)
  constructor(found, { changed, fault }) {
    Object.assign(this, { cells: found.cells, marks: [...found.marks], changed, fault });
    Object.assign(this, { queue: [], limit: found.sheet, shared: found.shared, unsaved: 0, isSending: false });
    this.key = `undo ${found.file}`; // survives a reload of the page, and a restart of the server
    this.done = JSON.parse(sessionStorage.getItem(this.key) ?? "[]");
    addEventListener("pagehide", () => (this.isLeaving = true));
  }

  // {accepted, rejected, left} from one number on
  count(start = 0, count = this.marks.length) {
    const found = { [ACCEPT]: 0, [REJECT]: 0, [NONE]: 0 };
    for (let number = start; number < start + count; number += 1) found[this.marks[number]] += 1;
    return { accepted: found[ACCEPT], rejected: found[REJECT], left: found[NONE] };
  }

  // changes: [{number, id, to}]; one undo takes all of them back
  decide(changes) {
    const real = changes.filter(({ number, to }) => this.marks[number] !== to);
    if (!real.length) return;
    this.done.push(real.map(({ number, id }) => ({ number, id, to: this.marks[number] })));
    this.write(real, this.done.at(-1));
  }

  // Takes the last decision back; returns what changes, or null.
  undo() {
    const last = this.done.pop() ?? null;
    if (last) this.write(last, null);
    return last;
  }

  write(changes, entry) {
    const before = changes.map(({ number }) => this.marks[number]);
    for (const { number, to } of changes) this.marks[number] = to;
    this.remember();
    this.queue.push({ changes, before, entry });
    this.unsaved += 1;
    this.changed();
    this.send();
  }

  // One request at a time, in the order of deciding; what came meanwhile goes together in the next one.
  async send() {
    if (this.isSending) return;
    this.isSending = true;
    while (this.queue.length) {
      const batch = [];
      for (let size = 0; this.queue.length && (size += this.queue[0].changes.length) <= this.limit;) batch.push(this.queue.shift());
      await this.deliver(batch);
    }
    this.isSending = false;
    if (this.shared) await this.refresh().catch(this.fault);
  }

  async deliver(batch) {
    const changes = batch.flatMap((one) => one.changes);
    try {
      await post(PATH, { decisions: changes.map(({ number, id, to }) => ({ number, id, decision: SENT[to] })) });
      this.fault();
    } catch (error) {
      if (this.isLeaving) return; // broken off, and maybe written: the next page will see
      for (const one of batch.reverse()) this.revert(one);
      this.remember();
      this.fault(error);
    }
    this.unsaved -= batch.length;
    this.changed();
  }

  revert({ changes, before, entry }) {
    changes.forEach(({ number, to }, at) => {
      if (this.marks[number] === to) this.marks[number] = before[at];
    });
    if (entry) this.done = this.done.filter((one) => one !== entry);
    else this.done.push(changes);
  }

  // Learns what other pages decided meanwhile.
  async refresh() {
    if (this.unsaved) return;
    const { marks } = await get(PATH);
    if (this.unsaved || marks.length !== this.marks.length) return;
    this.marks = [...marks];
    this.changed();
  }

  remember() {
    this.done = this.done.slice(-500);
    try {
      sessionStorage.setItem(this.key, JSON.stringify(this.done));
    } catch {
      // full or forbidden: then a reload forgets what can be undone
    }
  }
}
