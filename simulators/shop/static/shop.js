// Puts new deliveries on top while the page is looked at; what a person has unfolded stays so.
const PERIOD_MS = 1500;
const KEPT = 200;
const told = document.getElementById("told");
const pulse = document.getElementById("pulse");

function localTimes(within) {
  for (const time of within.querySelectorAll("time")) {
    time.textContent = new Date(time.dateTime).toLocaleTimeString([], { hour12: false });
  }
}

function take(fresh) {
  localTimes(fresh);
  document.getElementById("counts").replaceWith(fresh.querySelector("#counts"));
  const rows = document.getElementById("rows");
  const arrived = [...fresh.querySelectorAll("#rows > li")];
  arrived.forEach((row) => row.classList.add("fresh"));
  rows.prepend(...arrived);
  while (rows.children.length > KEPT) rows.lastElementChild.remove();
  document.getElementById("empty").hidden = rows.children.length > 0;
  told.dataset.since = fresh.dataset.since;
}

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(`/rows?since=${told.dataset.since}`);
  if (answer.status === 409) location.reload();
  if (answer.status !== 200) return;
  take(new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("told"));
}

async function run() {
  try {
    await refresh();
    pulse.classList.remove("lost");
  } catch {
    pulse.classList.add("lost");
  }
  setTimeout(run, PERIOD_MS);
}

localTimes(told);
setTimeout(run, PERIOD_MS);
