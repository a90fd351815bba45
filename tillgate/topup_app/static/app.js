// Every page: the connection's state, local times, the order form, the live order.

import { startDeeds, startForm } from "./form.js";
import { Live } from "./live.js";
import { waitForNetwork, watchConnection } from "./net.js";
import { beFresh, isStale, keepPages, tellStale } from "./stale.js";
import { countDown, writeTimes } from "./times.js";

const RETURN_MS = 4000;
let returning = 0;

/** A paid payment of a shop leads back there; the page does not stay in the way of "back". */
function goBack() {
  const target = document.querySelector("[data-return]")?.dataset.return;
  if (target && !returning) returning = setTimeout(() => location.replace(target), RETURN_MS);
}

function draw() {
  writeTimes();
  countDown();
  startDeeds();
  goBack();
}

tellStale();
watchConnection();
const live = new Live(() => {
  beFresh();
  draw();
});
draw();
startForm(document.getElementById("order-form"));
live.start();
if (isStale()) live.redraw();
if (document.querySelector("[data-unreached]")) waitForNetwork();
else keepPages();
