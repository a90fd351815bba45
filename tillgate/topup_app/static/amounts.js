// Amounts as customers type them.

const FULL_WIDTH = /[\uff01-\uff5e]/g;
const OTHERS = { "￥": "¥", "￡": "£", "￦": "₩", "。": "." };
/** A comma or a space parts thousands, everywhere alike, or the number is none. */
const NUMBER = /^(\d+|[1-9]\d{0,2}([,\s])\d{3}(?:\2\d{3})*)(?:\.(\d*))?$/;

/**
 * Whole minor units of what was typed, or null where it could mean anything else: no floating point.
 * Beyond a number's precision it is still far too much.
 * @param {string[]} signs what may stand in front
 */
export function readAmount(text, exponent, signs) {
  const plain = text
    .replace(FULL_WIDTH, (one) => String.fromCharCode(one.charCodeAt(0) - 0xfee0))
    .replace(/[￥￡￦。]/g, (one) => OTHERS[one])
    .trim();
  const sign = signs.find((one) => plain.toUpperCase().startsWith(one)) || "";
  const [, whole, , part = ""] = NUMBER.exec(plain.slice(sign.length).trim()) || [];
  if (!whole || part.length > exponent) return null;
  return Number(whole.replace(/\D/g, "") + part.padEnd(exponent, "0"));
}
