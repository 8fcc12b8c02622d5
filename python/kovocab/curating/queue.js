// Decisions on their way to the file: in order, numbered, sent until the server says that they are saved. What is not
// saved yet is in the browser's storage too, so that the next page of the same file sends what this one could not.

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

  async run() {
    if (this.running) return;
    this.running = true;
    for (let wait = 250; this.batches.length;) {
      try {
        const { number, version } = await this.send({ client: this.client, batches: this.batches });
        this.batches = this.batches.filter(batch => batch.number > number);
        this.version = version;
        this.error = null;
        this.keep();
        wait = 250;
      } catch (error) {
        this.error = error;
        this.told();
        await pause(wait);
        wait = Math.min(2 * wait, 4000);
      }
      this.told();
    }
    this.running = false;
    for (const done of this.waiting.splice(0)) done();
  }
}
