// Every page: the connection's state, local times, the order form, the live order.

import { startCancel, startForm } from "./form.js";
import { Live } from "./live.js";
import { watchConnection } from "./net.js";
import { countDown, writeTimes } from "./times.js";

function draw() {
  writeTimes();
  countDown();
  startCancel(document.getElementById("cancel-form"));
}

watchConnection();
const live = new Live(draw);
draw();
startForm(document.getElementById("order-form"));
live.start();
