// Keeps the list of orders fresh while the page is looked at.
const PERIOD_MS = 2500;

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("orders");
  const shown = document.getElementById("orders");
  if (fresh && shown && fresh.innerHTML !== shown.innerHTML && !shown.contains(document.activeElement)) {
    shown.replaceChildren(...fresh.childNodes);
  }
}

setInterval(() => { refresh().catch(() => undefined); }, PERIOD_MS);
