// The page works without this; with it one can search, fill in a key, and copy.
const menu = document.querySelector("#menu");
if (matchMedia("(min-width: 60rem)").matches) menu.open = true;

const find = document.querySelector("#find");
find.addEventListener("input", () => {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const article of document.querySelectorAll("article")) {
    article.hidden = !words.every((word) => article.dataset.find.includes(word));
  }
  for (const section of document.querySelectorAll("main > section")) {
    const articles = section.querySelectorAll("article");
    section.hidden = articles.length > 0 && [...articles].every((article) => article.hidden);
  }
});

const examples = [...document.querySelectorAll(".curl")].map((code) => [code, code.textContent]);
const key = document.querySelector("#key");
key.addEventListener("input", () => {
  const value = /^[A-Za-z0-9_]+$/.test(key.value) ? key.value : "sk_test_YOUR_KEY";
  for (const [code, text] of examples) code.textContent = text.replace("sk_test_YOUR_KEY", value);
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.parentElement.querySelector(".curl").textContent);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});

if (location.hash.startsWith("#")) {
  const details = document.getElementById(location.hash.slice(1))?.querySelector(":scope > details");
  if (details) details.open = true;
}
