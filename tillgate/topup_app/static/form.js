// The order form: amount, method, card, and one button that can be pressed safely.

import { readAmount } from "./amounts.js";
import { NoAnswer, get, post } from "./net.js";
import { Draft } from "./reference.js";

export function startForm(form) {
  if (!form) return;
  const data = form.dataset;
  const exponent = Number(data.exponent);
  const most = Number(data.most);
  const signs = JSON.parse(data.signs);
  const draft = new Draft(data.key);
  const other = form.elements.namedItem("other");
  const button = form.querySelector("#pay");
  const problem = form.querySelector("#problem");
  const cards = form.querySelector("#cards");
  let isBusy = false;

  const chosen = (name) => form.querySelector(`input[name="${name}"]:checked`);

  function amount() {
    if (other.value.trim()) return readAmount(other.value, exponent, signs);
    const preset = chosen("amount");
    return preset ? Number(preset.value) : 0;
  }

  function written(minor) {
    const preset = chosen("amount");
    if (preset && !other.value.trim()) return preset.dataset.shown;
    const text = String(minor).padStart(exponent + 1, "0");
    const whole = text.slice(0, text.length - exponent).replace(/\B(?=(\d{3})+$)/g, ",");
    return data.symbol + whole + (exponent ? `.${text.slice(-exponent)}` : "");
  }

  function show() {
    const minor = amount();
    if (cards) cards.hidden = chosen("method")?.value !== "card";
    const isPayable = minor && minor <= most;
    button.textContent = isBusy ? data.busy : isPayable ? data.pay.replace("{amount}", written(minor)) : data.payNothing;
    button.setAttribute("aria-disabled", String(isBusy));
  }

  function complain(text, field) {
    problem.textContent = text;
    problem.hidden = !text;
    other.setAttribute("aria-invalid", String(field === other));
    field?.focus();
  }

  function check() {
    const minor = amount();
    const words = problem.dataset;
    if (minor === null) return [words.amountUnreadable, other];
    if (!minor) return [words.amountMissing, other];
    if (minor > most) return [words.amountLarge, other];
    if (!chosen("method")) return [words.methodMissing, null];
    if (chosen("method").value === "card" && !chosen("card")) {
      return [words.cardMissing, form.querySelector('input[name="card"]')];
    }
    return null;
  }

  async function send() {
    const wrong = check();
    complain(...(wrong || ["", null]));
    if (wrong || isBusy) return;
    isBusy = true;
    show();
    const method = chosen("method").value;
    const order = draft.keep({
      amount: amount(),
      method,
      card: method === "card" ? chosen("card").value : null,
    });
    try {
      const { reference, amount: minor, card } = order;
      const placed = await post(data.post, { reference, amount: minor, method, card });
      leave(draft, placed);
    } catch (error) {
      isBusy = false;
      if (error instanceof NoAnswer || error.again) complain(problem.dataset.unknown, button);
      else if (error.code === "reference_refused") await findEarlier(error.message);
      else {
        draft.forget();
        complain(error.message, null);
      }
      show();
    }
  }

  /** An order sent earlier may have arrived although its answer did not. */
  async function findEarlier(message) {
    const earlier = draft.read();
    if (!earlier) return;
    const ask = `${data.post}${data.post.includes("?") ? "&" : "?"}reference=${earlier.reference}`;
    try {
      const found = await get(ask);
      if (found) leave(draft, found, false);
      else if (message || draft.isOld) {
        draft.forget();
        complain(message, null);
      } else complain(problem.dataset.unknown, null);
    } catch {
      complain(problem.dataset.unknown, null);
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  form.addEventListener("input", (event) => {
    if (event.target === other && other.value.trim()) {
      const preset = chosen("amount");
      if (preset) preset.checked = false;
    } else if (event.target.name === "amount") other.value = "";
    if (!isBusy) complain("", null);
    show();
  });
  show();
  findEarlier("");
}

/** Forms of one button on an order's page: call it off, or order the same anew. */
export function startDeeds() {
  for (const form of document.querySelectorAll("form.deed:not([data-started])")) startDeed(form);
}

function startDeed(form) {
  form.dataset.started = "";
  const button = form.querySelector("button");
  const problem = form.querySelector(".problem");
  const label = button.textContent;
  // The new order keeps its reference until its answer is heard: pressed twice, it is one order.
  const draft = form.dataset.again ? new Draft(`again.${form.dataset.again}`) : null;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    button.textContent = form.dataset.busy;
    problem.hidden = true;
    try {
      const answer = await post(form.dataset.post, draft ? { reference: draft.keep({}).reference } : {});
      if (draft) leave(draft, answer);
      else form.dispatchEvent(new CustomEvent("changed", { bubbles: true }));
    } catch (error) {
      if (draft && !(error instanceof NoAnswer || error.again)) draft.forget();
      button.disabled = false;
      button.textContent = label;
      problem.textContent = error.message || document.getElementById("slow").textContent;
      problem.hidden = false;
    }
  });
}

/** To the provider where the customer just asked for it, else to the order's page. */
function leave(draft, placed, mayGo = true) {
  draft.forget();
  const lang = new URLSearchParams(location.search).get("lang");
  location.assign(mayGo && placed.open && placed.go ? placed.go : placed.page + (lang ? `?lang=${lang}` : ""));
}
