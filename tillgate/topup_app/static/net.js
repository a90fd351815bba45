// Requests on a poor network: repeated with the same body until an answer is heard.

import { isStale } from "./stale.js";

const WAITS_MS = [700, 1500, 3000, 6000];
const LIMIT_MS = 35000;
const AGAIN_MS = 5000;

export class Refused extends Error {
  /** @param {number} status @param {{error?: string, message?: string, again?: boolean}} body */
  constructor(status, body) {
    super(body.message || "");
    this.status = status;
    this.code = body.error || "";
    this.again = body.again === true;
  }
}

/** Nobody can tell whether it arrived. */
export class NoAnswer extends Error {}

const online = () => navigator.onLine !== false;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Wait, but no longer than until the connection is back. */
function pause(ms) {
  if (online()) return sleep(ms);
  return new Promise((done) => addEventListener("online", done, { once: true }));
}

async function once(url, options) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), LIMIT_MS);
  try {
    return await fetch(url, { ...options, signal: stop.signal, redirect: "error" });
  } finally {
    clearTimeout(timer);
  }
}

/** POST what may safely be sent again; answers JSON. Throws Refused or NoAnswer. */
export async function post(url, body) {
  const options = {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(body),
  };
  for (let attempt = 0; ; attempt += 1) {
    const refusal = await answerOf(() => once(url, options));
    if (!(refusal instanceof Error)) {
      slow(false);
      return refusal;
    }
    const mayPass = refusal instanceof NoAnswer || refusal.again;
    if (!mayPass || attempt >= WAITS_MS.length) {
      slow(false);
      throw refusal;
    }
    slow(true);
    await pause(WAITS_MS[attempt]);
  }
}

async function answerOf(ask) {
  try {
    const answer = await ask();
    const body = await answer.json();
    return answer.ok ? body : new Refused(answer.status, body);
  } catch {
    return new NoAnswer();
  }
}

/** GET JSON once; null where it is not there, throws where nobody answers. */
export async function get(url) {
  const answer = await once(url, { headers: { Accept: "application/json" } });
  return answer.ok ? answer.json() : null;
}

/** GET a page once and return it parsed. */
export async function getPage(url) {
  const answer = await once(url, { headers: { Accept: "text/html" } });
  // What has gone, or its link has expired, says so itself.
  if (answer.status === 404) location.reload();
  if (!answer.ok) throw new NoAnswer();
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

/** Tell the customer that we are trying. */
export function slow(isSlow) {
  const notice = document.getElementById("slow");
  if (notice) notice.hidden = !isSlow || !online() || isStale();
}

/** There was nothing to show: load the page as soon as somebody answers for it. */
export function waitForNetwork() {
  const look = () => getPage(location.href).then(() => location.reload(), () => undefined);
  addEventListener("online", look);
  setInterval(look, AGAIN_MS);
}

/** Show and hide the word that there is no connection. */
export function watchConnection() {
  const notice = document.getElementById("offline");
  const show = () => {
    if (notice) notice.hidden = online() || isStale();
    if (!online()) slow(false);
  };
  addEventListener("online", show);
  addEventListener("offline", show);
  show();
}
