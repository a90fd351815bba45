// Live results: server-sent events while they come through, asking again and again where not.
// Only for a page that is seen: a browser opens six connections to a host for all its tabs together,
// and a hidden one reads what it missed as soon as it is shown.

import { get, getPage, slow } from "./net.js";

const QUICK_MS = 2000;
const QUICK_ROUNDS = 30;
const STEADY_MS = 6000;
const SILENCE_MS = 25000;

/** The server's clock: the least delayed of what it told us. */
export const clock = {
  offset: null,
  hear(serverMs) {
    const offset = serverMs - Date.now();
    if (this.offset === null || offset > this.offset) this.offset = offset;
  },
  now() {
    return Date.now() + (this.offset ?? 0);
  },
};

/** Watches the order that the page shows, and has the page redrawn when it moves. */
export class Live {
  #source = null;
  #timer = 0;
  #rounds = 0;
  #isAsking = false;
  #isDrawing = false;
  /** The live parts as the server last wrote them. */
  #parts = new Map();

  /** @param {() => void} drawn called after the page was redrawn */
  constructor(drawn) {
    this.drawn = drawn;
    for (const part of document.querySelectorAll("[data-live]")) this.#parts.set(part.id, part.outerHTML);
    addEventListener("online", () => this.redraw());
    addEventListener("pageshow", (event) => event.persisted && this.redraw());
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#stop() : this.redraw()));
    document.addEventListener("changed", () => this.redraw());
  }

  get #region() {
    return document.querySelector("[data-events]");
  }

  start() {
    this.#stop();
    const region = this.#region;
    if (!region || document.hidden) return;
    if (typeof EventSource !== "function") return this.#ask(0);
    this.#source = new EventSource(`${region.dataset.events}/events`);
    this.#source.onmessage = (event) => {
      this.#rounds = 0;
      this.#hush();
      this.#take(JSON.parse(event.data));
    };
    // A cut stream comes back by itself; until it does, and where it never comes, we ask.
    this.#source.onerror = () => this.#isAsking || this.#ask(QUICK_MS);
    this.#timer = setTimeout(() => this.#ask(0), SILENCE_MS);
  }

  #stop() {
    this.#source?.close();
    this.#source = null;
    this.#hush();
  }

  #hush() {
    clearTimeout(this.#timer);
    this.#isAsking = false;
  }

  #ask(after) {
    this.#hush();
    this.#isAsking = true;
    this.#timer = setTimeout(async () => {
      const region = this.#region;
      if (!region) return;
      try {
        const state = await get(`${region.dataset.events}/state`);
        slow(false);
        if (state && (await this.#take(state))) return;
      } catch {
        slow(true);
      }
      this.#rounds += 1;
      if (this.#isAsking) this.#ask(this.#rounds > QUICK_ROUNDS ? STEADY_MS : QUICK_MS);
    }, after);
  }

  async #take(state) {
    clock.hear(state.now);
    const region = this.#region;
    if (!region || (String(state.version) === region.dataset.version && state.stage === region.dataset.stage)) return false;
    await this.redraw();
    return true;
  }

  /** Read the page anew, put its live parts in the place of ours, and be told of what comes. */
  async redraw() {
    if (this.#isDrawing || document.hidden) return;
    this.#isDrawing = true;
    try {
      const fresh = await getPage(location.href);
      slow(false);
      for (const old of document.querySelectorAll("[data-live]")) {
        const part = fresh.getElementById(old.id);
        if (!part || part.outerHTML === this.#parts.get(old.id)) continue;
        this.#parts.set(old.id, part.outerHTML);
        for (const one of old.querySelectorAll("details[open]")) part.querySelector(`#${one.id}`)?.toggleAttribute("open", true);
        old.replaceWith(part);
      }
      this.drawn();
    } catch {
      slow(true);
      setTimeout(() => this.redraw(), QUICK_MS);
      return;
    } finally {
      this.#isDrawing = false;
    }
    this.start();
  }
}
