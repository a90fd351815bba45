// Runs in a page and returns what is wrong with it.
() => {
  const complaints = [];
  const seen = (element) => {
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    return box.width > 0 && box.height > 0 && style.visibility !== "hidden" && element.checkVisibility();
  };
  const called = (element) => `${element.tagName.toLowerCase()}.${element.className?.baseVal ?? element.className} "${(element.textContent || "").trim().slice(0, 30)}"`;
  const rgba = (text) => {
    const found = text.match(/[\d.]+/g).map(Number);
    return [...found.slice(0, 3), found.length > 3 ? found[3] : 1];
  };
  const over = (top, under) => top.slice(0, 3).map((value, i) => value * top[3] + under[i] * (1 - top[3])).concat(1);
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255, 1]);
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  for (const element of document.body.querySelectorAll("*")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!hasText || !seen(element) || element.closest("svg, noscript")) continue;
    const style = getComputedStyle(element);
    const under = ground(element);
    const [high, low] = [light(over(rgba(style.color), under)), light(under)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 600);
    if (ratio < (isLarge ? 3 : 4.5)) complaints.push(`contrast ${ratio.toFixed(2)}: ${called(element)}`);
    if (size < 12) complaints.push(`small type: ${called(element)}`);
  }
  for (const element of document.querySelectorAll(".sheet *, .recent *, .lines *, .balance *, .running *")) {
    if (!seen(element) || element.closest("svg")) continue;
    const frame = element.parentElement.closest(".sheet, .recent, .lines, .balance, .running").getBoundingClientRect();
    const box = element.getBoundingClientRect();
    if (box.right > frame.right + 1 || box.left < frame.left - 1) complaints.push(`sticks out: ${called(element)}`);
  }
  for (const element of document.querySelectorAll("a, button, input, label.choice")) {
    if (!seen(element)) continue;
    const box = (element.closest("label.choice") || element).getBoundingClientRect();
    if (box.height < 43.5 || box.width < 43.5) complaints.push(`small target ${box.width}x${box.height}: ${called(element)}`);
    const name = element.getAttribute("aria-label") || element.textContent.trim() || [...(element.labels || [])].map((label) => label.textContent.trim()).join("");
    if (!name) complaints.push(`no name: ${element.outerHTML.slice(0, 90)}`);
  }
  for (const element of document.querySelectorAll("[aria-describedby]")) {
    if (!document.getElementById(element.getAttribute("aria-describedby"))) complaints.push(`described by nothing: ${called(element)}`);
  }
  for (const image of document.images) if (!image.alt) complaints.push("image without alt");
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  if (new Set(ids).size !== ids.length) complaints.push(`ids twice: ${ids}`);
  if (document.querySelectorAll("h1").length !== 1) complaints.push("not one h1");
  if (!document.documentElement.lang || !document.title) complaints.push("no language or title");
  const width = document.documentElement.scrollWidth;
  if (width > innerWidth) complaints.push(`wider than the screen: ${width} > ${innerWidth}`);
  return complaints;
}
