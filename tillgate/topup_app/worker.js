// Stands between the pages and the network: keeps what pages are made of, and how each page last
// stood, so that one opened without a connection says that nothing is lost and shows what it knew.
// It never answers for anything that could change something, nor for the live state.

const { version, shell, offline } = self.FILLED_IN;
const SHELL = `tillgate-shell-${version}`;
// A page is of no use without the files it was made with.
const PAGES = `tillgate-pages-${version}`;
const MOST_PAGES = 12;
const OLD_MS = 24 * 3600 * 1000;
const PATIENCE_MS = 8000;
const KEPT_AT = "x-kept-at";

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches.open(SHELL).then((cache) => cache.addAll([...shell, ...Object.values(offline)])).then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith("tillgate-") && name !== SHELL && name !== PAGES) await caches.delete(name);
      }
      await forgetOld();
      await self.clients.claim();
    })(),
  );
});

// A page that was loaded before there was a worker asks to be kept all the same.
self.addEventListener("message", (event) => {
  const address = event.data?.keep;
  if (typeof address !== "string" || !isOurs(new URL(address))) return;
  event.waitUntil(asked(new Request(address, { headers: { Accept: "text/html" } })).catch(() => undefined));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || !isOurs(url)) return;
  if (shell.includes(url.pathname)) event.respondWith(fromShell(request));
  else if (url.pathname.endsWith("/code.svg")) event.respondWith(asked(request).catch(() => lastKnown(request, true)));
  else if (request.mode === "navigate") event.respondWith(visited(request));
  else if ((request.headers.get("Accept") || "").startsWith("text/html")) event.respondWith(asked(request));
});

const isOurs = (url) => url.origin === self.location.origin && url.pathname.startsWith("/pay/");

async function fromShell(request) {
  return (await caches.match(request.url)) || fetch(request);
}

/** Ask the network, and keep what it says. */
async function asked(request) {
  const answer = await fetch(request);
  const cache = await caches.open(PAGES);
  if (answer.status === 404 || answer.status === 410) await cache.delete(request.url);
  if (!answer.ok) return answer;
  const headers = new Headers(answer.headers);
  headers.set(KEPT_AT, String(Date.now()));
  const body = await answer.clone().text();
  await cache.put(request.url, new Response(body, { headers }));
  await keepCode(body);
  await forgetOld();
  return answer;
}

/** The code of an open order is as good as the page it stands on. */
async function keepCode(html) {
  const found = /<img src="([^"]+\/code\.svg)"/.exec(html);
  if (found && !(await caches.match(found[1]))) await asked(new Request(found[1])).catch(() => undefined);
}

/** A customer opens a page. */
async function visited(request) {
  const answer = asked(request);
  answer.catch(() => undefined); // heard below, perhaps later
  const known = await lastKnown(request);
  if (!known) return answer.catch(() => nothingKnown(request));
  const enough = new Promise((done) => setTimeout(done, PATIENCE_MS));
  return Promise.race([answer, enough.then(() => known)]).catch(() => known);
}

/** How a page stood when it was last seen; it says so itself. */
async function lastKnown(request, asItIs = false) {
  const cache = await caches.open(PAGES);
  const kept = await cache.match(request.url);
  if (!kept) return asItIs ? Response.error() : null;
  if (asItIs) return kept;
  const html = (await kept.text()).replace("<html ", `<html data-stale="${kept.headers.get(KEPT_AT)}" `);
  return new Response(html, { headers: kept.headers });
}

async function nothingKnown(request) {
  const wanted = new URL(request.url).searchParams.get("lang") || self.navigator.language.slice(0, 2);
  return (await caches.match(offline[wanted] || offline.en)) || Response.error();
}

/** Pages show what somebody owns: they are not kept for long. */
async function forgetOld() {
  const cache = await caches.open(PAGES);
  const keys = await cache.keys();
  for (const [place, key] of keys.entries()) {
    const kept = await cache.match(key);
    const age = Date.now() - Number(kept?.headers.get(KEPT_AT));
    if (age > OLD_MS || place < keys.length - MOST_PAGES) await cache.delete(key);
  }
}
