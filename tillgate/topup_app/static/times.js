// Moments in the customer's own time, and the time that is left by the server's clock.

import { clock } from "./live.js";
import { isStale } from "./stale.js";

export function writeTimes(root = document) {
  const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time[datetime]:not([data-written])")) {
    time.textContent = format.format(new Date(time.dateTime));
    time.dataset.written = "";
  }
}

let ticking = 0;

/** Count down; at the end say so. The server decides, this only tells. */
export function countDown() {
  clearInterval(ticking);
  const line = document.querySelector("[data-expires]");
  const now = document.querySelector('meta[name="now"]');
  if (now && !isStale()) clock.hear(Number(now.content));
  if (!line) return;
  const left = line.querySelector("[data-left]");
  const over = document.querySelector("[data-time-up]");
  const tick = () => {
    const seconds = Math.max(0, Math.ceil((Number(line.dataset.expires) - clock.now()) / 1000));
    left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    if (seconds > 0) return;
    clearInterval(ticking);
    line.hidden = true;
    over.hidden = false;
    document.querySelector(".code")?.classList.add("over");
  };
  ticking = setInterval(tick, 500);
  tick();
}
