// Writes moments in the viewer's own time, and keeps the list of orders fresh while it is looked at.
const PERIOD_MS = 2500;

function writeTimes() {
  const format = new Intl.DateTimeFormat(document.documentElement.lang, {
    month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short",
  });
  for (const time of document.querySelectorAll("time[datetime]")) time.textContent = format.format(new Date(time.dateTime));
}

/** The list as the server last wrote it. */
let written = document.getElementById("orders")?.innerHTML;

async function refresh() {
  const shown = document.getElementById("orders");
  if (!shown || document.hidden) return;
  const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("orders");
  if (fresh && fresh.innerHTML !== written && !shown.contains(document.activeElement)) {
    written = fresh.innerHTML;
    shown.replaceChildren(...fresh.childNodes);
    writeTimes();
  }
}

writeTimes();
setInterval(() => { refresh().catch(() => undefined); }, PERIOD_MS);
