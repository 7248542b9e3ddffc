// What could be typed at a place in a TraceQL query.

export type Place =
  | { kind: 'attribute'; from: number }
  | { kind: 'value'; from: number; attribute: string; quoted: boolean }
  | { kind: 'operator'; from: number }
  | { kind: 'stage'; from: number };

/** Functions after a `|`. */
export const STAGES = [
  'count()',
  'avg(duration)',
  'max(duration)',
  'min(duration)',
  'sum(duration)',
  'by(resource.service.name)',
  'select(',
  'coalesce()',
  'rate()',
  'count_over_time()',
  'quantile_over_time(duration, .5, .95, .99)',
  'histogram_over_time(duration)',
  'avg_over_time(duration)',
  'compare({ status = error })',
];

const VALUE = /((?:[\w]+:)?[\w.][\w.:/-]*(?:\."(?:[^"\\]|\\.)*")?)\s*(?:=~|!~|!=|>=|<=|=|>|<)\s*("(?:[^"\\]|\\.)*|[\w.-]*)$/;
const OPERATOR = /((?:[\w]+:)?[\w.][\w.:/-]*(?:\."(?:[^"\\]|\\.)*")?)\s+$/;
const ATTRIBUTE = /[\w.:/-]*$/;

/** The place at the end of `before`, the query up to the cursor. */
export function placeOf(before: string): Place | undefined {
  const open = lastOpen(before);
  if (open === undefined) {
    const stage = /\|\s*([\w]*)$/.exec(before);
    return stage ? { kind: 'stage', from: before.length - (stage[1]?.length ?? 0) } : undefined;
  }
  const inside = before.slice(open + 1);
  const value = VALUE.exec(inside);
  if (value) {
    const typed = value[2] ?? '';
    return { kind: 'value', from: before.length - typed.length, attribute: value[1] ?? '', quoted: typed.startsWith('"') };
  }
  if (insideString(inside)) return undefined;
  const operator = OPERATOR.exec(inside);
  if (operator && !/^(true|false|nil)$/.test(operator[1] ?? '') && startsCondition(inside.slice(0, operator.index))) {
    return { kind: 'operator', from: before.length };
  }
  const typed = ATTRIBUTE.exec(inside)?.[0] ?? '';
  const rest = inside.slice(0, inside.length - typed.length);
  return startsCondition(rest) ? { kind: 'attribute', from: before.length - typed.length } : undefined;
}

function startsCondition(text: string): boolean {
  return /(^|&&|\|\||[({,!])\s*$/.test(text);
}

/** Where the innermost `{` that is still open is, or the `(` of a function that takes attributes. */
function lastOpen(text: string): number | undefined {
  const stack: number[] = [];
  let quote = '';
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] ?? '';
    if (quote) {
      if (char === '\\' && quote === '"') at += 1;
      else if (char === quote) quote = '';
    } else if (char === '"' || char === '`') quote = char;
    else if (char === '{' || isFunction(text, at)) stack.push(at);
    else if (char === '}' || (char === ')' && text[stack.at(-1) ?? 0] === '(')) stack.pop();
  }
  return stack.at(-1);
}

function isFunction(text: string, at: number): boolean {
  return text[at] === '(' && /\b(by|select|avg|min|max|sum|\w+_over_time)\s*$/.test(text.slice(0, at));
}

function insideString(text: string): boolean {
  return (text.replace(/\\./g, '').match(/"/g)?.length ?? 0) % 2 === 1;
}

/** The query without the condition that is being typed, so that the server says what fits the rest. */
export function withoutCurrent(before: string): string {
  const open = lastOpen(before);
  if (open === undefined || before[open] !== '{') return '{}';
  const inside = before.slice(open + 1);
  const last = Math.max(inside.lastIndexOf('&&'), inside.lastIndexOf('||'));
  return last < 0 ? '{}' : `{ ${inside.slice(0, last).trim()} }`;
}
