// TraceQL as the console writes it, and as much of it as the builder can read back.

export type Operator = '=' | '!=' | '=~' | '!~' | '>' | '>=' | '<' | '<=';

export const OPERATORS: Operator[] = ['=', '!=', '=~', '!~', '>', '>=', '<', '<='];

export interface Condition {
  attribute: string;
  operator: Operator;
  value: string;
}

/** What the builder shows. Empty texts are not asked for. */
export interface Built {
  service: string;
  operation: string;
  status: '' | 'error' | 'ok' | 'unset';
  minDuration: string;
  maxDuration: string;
  tags: Condition[];
}

export const EMPTY: Built = { service: '', operation: '', status: '', minDuration: '', maxDuration: '', tags: [] };

/** A text as a TraceQL string. */
export function quote(text: string): string {
  return `"${text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`;
}

/** An attribute with its scope; names that are no identifiers are quoted. */
export function attribute(scope: string, name: string): string {
  const plain = /^[\p{L}_][\p{L}\p{N}_.:/-]*$/u.test(name) && !name.endsWith('.');
  return `${scope}.${plain && !name.includes(':') ? name : quote(name)}`;
}

const DURATION = /^\d+(\.\d+)?(ns|us|µs|ms|s|m|h)$/;
const BARE = /^(-?\d+(\.\d+)?|true|false|nil|error|ok|unset|client|server|producer|consumer|internal|unspecified)$/;
const KEYWORDS = /^(status|kind|span:status|span:kind)$/;

/** A value as it stands in a condition: text unless it can only be something else. */
export function literal(name: string, operator: Operator, value: string): string {
  if (operator === '=~' || operator === '!~') return quote(value);
  if (/duration$/i.test(name) && DURATION.test(value)) return value;
  if (KEYWORDS.test(name) && BARE.test(value)) return value;
  const isOrder = operator !== '=' && operator !== '!=';
  if (isOrder && (DURATION.test(value) || /^-?\d+(\.\d+)?$/.test(value))) return value;
  return quote(value);
}

/** The query that the builder's fields say. */
export function build(built: Built): string {
  const parts: string[] = [];
  if (built.service) parts.push(`resource.service.name = ${quote(built.service)}`);
  if (built.operation) parts.push(`name = ${quote(built.operation)}`);
  if (built.status) parts.push(`status = ${built.status}`);
  if (DURATION.test(built.minDuration)) parts.push(`duration >= ${built.minDuration}`);
  if (DURATION.test(built.maxDuration)) parts.push(`duration <= ${built.maxDuration}`);
  for (const { attribute: name, operator, value } of built.tags) {
    if (name && value) parts.push(`${name} ${operator} ${literalOf(name, operator, value)}`);
  }
  return parts.length === 0 ? '{}' : `{ ${parts.join(' && ')} }`;
}

/** Values that were typed as numbers or booleans stay what they are; quotes make them text. */
function literalOf(name: string, operator: Operator, value: string): string {
  if (/^".*"$/.test(value)) return quote(value.slice(1, -1));
  if (operator !== '=~' && operator !== '!~' && /^(-?\d+(\.\d+)?|true|false)$/.test(value)) return value;
  return literal(name, operator, value);
}

export function isDuration(text: string): boolean {
  return text === '' || DURATION.test(text);
}

const CONDITION = /^\s*((?:[\w]+:)?[\w.][\w.:/-]*(?:\."(?:[^"\\]|\\.)*")?)\s*(=~|!~|!=|>=|<=|=|>|<)\s*("(?:[^"\\]|\\.)*"|`[^`]*`|[\w.µ-]+)\s*(&&|$)/u;

/** The conditions of a query that is one `{ a && b }`; `undefined` for any other. */
export function conditions(query: string): (Condition & { quoted: boolean })[] | undefined {
  const inside = /^\s*\{([\s\S]*)\}\s*$/.exec(query)?.[1];
  if (inside === undefined) return query.trim() === '' ? [] : undefined;
  const found: (Condition & { quoted: boolean })[] = [];
  let rest = inside.trim();
  while (rest !== '') {
    const match = CONDITION.exec(rest);
    if (!match) return undefined;
    const [all, name = '', operator, value = '', joined] = match;
    rest = rest.slice(all.length).trim();
    if (joined === '&&' && rest === '') return undefined;
    const quoted = /^["`]/.test(value);
    found.push({ attribute: name, operator: operator as Operator, value: quoted ? unquote(value) : value, quoted });
  }
  return found;
}

function unquote(text: string): string {
  if (text.startsWith('`')) return text.slice(1, -1);
  return text.slice(1, -1).replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
}

/** What the builder shows of a query; `undefined` when it says more than the builder can. */
export function read(query: string): Built | undefined {
  const found = conditions(query);
  if (!found) return undefined;
  const built: Built = { ...EMPTY, tags: [] };
  for (const condition of found) place(built, condition);
  return built;
}

function place(built: Built, condition: Condition & { quoted: boolean }): void {
  const { attribute: name, operator, value, quoted } = condition;
  const equal = operator === '=';
  if (equal && name === 'resource.service.name' && !built.service) built.service = value;
  else if (equal && /^(span:)?name$/.test(name) && !built.operation) built.operation = value;
  else if (equal && /^(span:)?status$/.test(name) && /^(error|ok|unset)$/.test(value) && !built.status)
    built.status = value as Built['status'];
  else if (operator === '>=' && /^(span:)?duration$/.test(name) && !built.minDuration) built.minDuration = value;
  else if (operator === '<=' && /^(span:)?duration$/.test(name) && !built.maxDuration) built.maxDuration = value;
  else built.tags.push({ attribute: name, operator, value: kept(value, quoted) });
}

/** A text that would be read as a number keeps its quotes in the field. */
function kept(value: string, quoted: boolean): string {
  return quoted && /^(-?\d+(\.\d+)?|true|false)$/.test(value) ? quote(value) : value;
}

/** The query with one more condition on its spans. */
export function narrow(query: string, condition: string): string {
  const inside = /^\s*\{([^{}]*)\}\s*$/.exec(query)?.[1];
  if (inside === undefined) return query.trim() === '' ? `{ ${condition} }` : `${query.trim()} | { ${condition} }`;
  if (inside.trim() === '') return `{ ${condition} }`;
  const needsParentheses = inside.includes('||');
  return `{ ${needsParentheses ? `(${inside.trim()})` : inside.trim()} && ${condition} }`;
}

export interface Fields {
  service?: string | undefined;
  operation?: string | undefined;
  conditions?: string[];
}

/** `{ … }` of a service, an operation and more. */
export function spansOf({ service, operation, conditions: more = [] }: Fields): string {
  const parts = [...more];
  if (operation !== undefined) parts.unshift(`name = ${quote(operation)}`);
  if (service !== undefined) parts.unshift(`resource.service.name = ${quote(service)}`);
  return parts.length === 0 ? '{}' : `{ ${parts.join(' && ')} }`;
}
