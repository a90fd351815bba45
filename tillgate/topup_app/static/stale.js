// A page that came from the device because there was no connection: it says so, until it is fresh.

const stale = () => document.documentElement.dataset.stale;

/** Whether the page shows how things stood a while ago. */
export const isStale = () => Boolean(stale());

/** Say since when. */
export function tellStale() {
  const notice = document.getElementById("stale");
  if (!stale() || !notice) return;
  notice.querySelector("time").dateTime = new Date(Number(stale())).toISOString();
  notice.hidden = false;
}

/** The page has been read anew; one without live parts has to be loaded to be. */
export function beFresh() {
  if (!stale()) return;
  delete document.documentElement.dataset.stale;
  document.getElementById("stale").hidden = true;
  if (!document.querySelector("[data-live]")) location.reload();
}

/** Have the pages kept on this device, where the browser can. */
export function keepPages() {
  const workers = navigator.serviceWorker;
  if (!workers) return;
  const isNew = !workers.controller;
  workers
    .register("/pay/worker.js", { scope: "/pay/" })
    .then(() => workers.ready)
    .then((ready) => isNew && ready.active.postMessage({ keep: location.href }))
    .catch(() => undefined);
}
