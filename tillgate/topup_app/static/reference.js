// The reference of an order, minted here and kept until an answer to it has been heard.
// Sending it again finds the same order, so a lost answer costs nothing.

const OLD_MS = 600000;
const DIGITS = "0123456789abcdefghjkmnpqrstvwxyz";

function mint() {
  let time = Date.now();
  let text = "";
  for (let place = 0; place < 10; place += 1) {
    text = DIGITS[time % 32] + text;
    time = Math.floor(time / 32);
  }
  for (const byte of crypto.getRandomValues(new Uint8Array(16))) text += DIGITS[byte & 31];
  return text;
}

/** What is kept for one wallet, in this browser; private windows may refuse to keep anything. */
export class Draft {
  #memory = null;

  constructor(wallet) {
    this.name = `tillgate.order.${wallet}`;
  }

  /** The order on its way, or null. */
  read() {
    try {
      return JSON.parse(localStorage.getItem(this.name) || "null") || this.#memory;
    } catch {
      return this.#memory;
    }
  }

  /** Whether it was made so long ago that it cannot be on its way any more. */
  get isOld() {
    return Date.now() - (this.read()?.at || 0) > OLD_MS;
  }

  /** Keep an order before it is sent; one that was never answered keeps its reference. */
  keep(order) {
    const kept = { ...order, at: Date.now(), reference: this.read()?.reference || mint() };
    this.#memory = kept;
    try {
      localStorage.setItem(this.name, JSON.stringify(kept));
    } catch {
      // Memory will do for as long as the page is open.
    }
    return kept;
  }

  /** Its answer has been heard. */
  forget() {
    this.#memory = null;
    try {
      localStorage.removeItem(this.name);
    } catch {
      // Nothing was kept.
    }
  }
}
