// The filter's text, as far as the facets write it: terms side by side, each of which can be put in or taken out.

const TOKEN = /"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|[()]|[<>!=]=|[<>=:~]|[^\s()<>!=:~"']+|!/g;
const PLAIN = /^[\p{L}\p{N}_.\-/]+$/u;
const WORDS = new Set("and or not".split(" "));

/** A value as an expression writes it. @param {string} text */
export function quoted(text) {
  return PLAIN.test(text) && !WORDS.has(text) ? text : `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** The terms that all must hold, each with its place in the text. @param {string} text */
export function terms(text) {
  /** @type {{from: number, to: number, text: string}[]} */
  const found = [];
  let depth = 0;
  let joined = false; // the next token belongs to the term before
  let either = false;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    const end = index + token.length;
    const last = found.at(-1);
    const operator = /^[<>!=:~]/.test(token);
    const call = token === "(" && last?.to === index && /[\p{L}_]$/u.test(last.text);
    if (!depth && !joined && token.toLowerCase() === "and") continue;
    if (!depth && !joined && token.toLowerCase() === "or") either = true;
    if (last && (depth || joined || operator || call || token === ")")) {
      last.to = end;
      last.text = text.slice(last.from, end);
    } else found.push({ from: index, to: end, text: token });
    depth += token === "(" ? 1 : token === ")" ? -1 : 0;
    joined = depth > 0 || operator || token.toLowerCase() === "not";
  }
  return either ? [{ from: 0, to: text.length, text }] : found;
}

/** Whether a term is one of those that all must hold. @param {string} text @param {string} term */
export function holds(text, term) {
  return terms(text).some((one) => same(one.text, term));
}

/** The text with the term, in place of others that begin alike; or without it, where it has it. @param {string} text @param {string} term @param {string} [beginning] */
export function toggled(text, term, beginning) {
  const had = holds(text, term);
  const drop = terms(text).filter((one) => same(one.text, term) || (beginning && canonical(one.text).startsWith(beginning)));
  let rest = text.trim();
  if (!drop.length && terms(text).length === 1 && /\bor\b/i.test(text) && !had) rest = `(${rest})`;
  const kept = drop.length ? terms(text).filter((one) => !drop.includes(one)).map((one) => one.text).join(" ") : rest;
  return had ? kept : `${kept} ${term}`.trim();
}

/** @param {string} one @param {string} other */
function same(one, other) {
  return canonical(one) === canonical(other);
}

/** @param {string} term */
function canonical(term) {
  return (term.match(TOKEN) ?? []).map((token) => (/^==?$/.test(token) ? ":" : token.replace(/^(["'])(.*)\1$/s, (_, __, inner) =>
    quoted(inner.replace(/\\(.)/gs, "$1"))))).join(" ");
}
