// Decisions on their way to the file: in order, numbered, sent until the server says that they are saved. What is not
// saved yet is in the browser's storage too, so that the next page of the same file sends what this one could not.

const MOST = 5; // requests at a time; a browser has six for a server, and one waits for news
const SOON = 250, LATE = 4000; // milliseconds until it is tried again
const pause = milliseconds => new Promise(done => setTimeout(done, milliseconds));

export class Queue {
  // `send` posts and gives {number, version}; `told` is called whenever something changed.
  constructor(file, send, told) {
    this.client = crypto.randomUUID();
    this.prefix = `kovocab ${file} `;
    this.key = this.prefix + this.client;
    this.send = send;
    this.told = told;
    this.batches = [];
    this.number = 0;
    this.version = 0;
    this.sent = 0;
    this.flying = 0;
    this.wait = SOON;
    this.error = null;
    this.waiting = [];
    navigator.locks.request(this.key, () => new Promise(() => {})); // says that this page is alive
  }

  get length() {
    return this.batches.reduce((sum, batch) => sum + batch.decisions.length, 0);
  }

  push(decisions) {
    this.batches.push({ number: ++this.number, decisions });
    this.keep();
    this.told();
    this.run();
  }

  // When nothing is on its way.
  idle() {
    return this.batches.length ? new Promise(done => this.waiting.push(done)) : Promise.resolve();
  }

  // What a page that is no more left unsaved: [[token, decision]], taken from it.
  async left() {
    const found = [];
    for (const key of Object.keys(localStorage).filter(key => key.startsWith(this.prefix) && key !== this.key)) {
      await navigator.locks.request(key, { ifAvailable: true }, lock => {
        if (!lock) return; // it is alive
        found.push(...JSON.parse(localStorage.getItem(key) ?? "[]").flatMap(batch => batch.decisions));
        localStorage.removeItem(key);
      });
    }
    return found;
  }

  keep() {
    if (this.batches.length) localStorage.setItem(this.key, JSON.stringify(this.batches));
    else localStorage.removeItem(this.key);
  }

  // Each press is sent at once, with all that nobody said is saved; the server takes a number once, so answers may come in
  // any order. While something fails, one request at a time.
  async run() {
    if (!this.batches.length || (this.flying && (this.error || this.flying >= MOST || this.sent >= this.number))) return;
    this.flying += 1;
    this.sent = this.number;
    try {
      const { number, version } = await this.send({ client: this.client, batches: this.batches });
      this.batches = this.batches.filter(batch => batch.number > number);
      this.version = Math.max(this.version, version);
      this.error = null;
      this.wait = SOON;
      this.keep();
    } catch (error) {
      this.error = error;
      this.told();
      await pause(this.wait);
      this.wait = Math.min(2 * this.wait, LATE);
    }
    this.flying -= 1;
    this.told();
    if (!this.batches.length) for (const done of this.waiting.splice(0)) done();
    this.run();
  }
}
