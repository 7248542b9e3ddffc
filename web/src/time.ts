/** A stretch of time as a person says it: ends are `now`, `now-15m` or unix milliseconds. */
export interface TimeSpec {
  from: string;
  to: string;
}

/** A stretch of time in unix milliseconds. */
export interface TimeRange {
  start: number;
  end: number;
}

export const DEFAULT_TIME: TimeSpec = { from: 'now-15m', to: 'now' };

export const PRESETS = ['5m', '15m', '1h', '3h', '6h', '12h', '24h', '2d', '7d'] as const;

const UNITS: Record<string, number> = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3, w: 7 * 86400e3 };

/** Milliseconds of `15m`, `1h30m` or `2d`. */
export function parseSpan(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?[smhdw])+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)([smhdw])/g)) {
    total += Number(amount) * (UNITS[unit ?? ''] ?? 0);
  }
  return total;
}

/** Unix milliseconds of one end; `undefined` for what is no time. Grafana's `now/d` counts as `now`. */
export function parseTime(text: string, now: number): number | undefined {
  const trimmed = text.trim();
  if (/^now(\/\w)?$/.test(trimmed)) return now;
  const back = /^now-([\w.]+?)(\/\w)?$/.exec(trimmed);
  if (back) {
    const span = parseSpan(back[1] ?? '');
    return span === undefined ? undefined : now - span;
  }
  if (/^\d{1,10}(\.\d+)?$/.test(trimmed)) return Number(trimmed) * 1e3;
  if (/^\d{11,14}$/.test(trimmed)) return Number(trimmed);
  if (/^\d{15,17}$/.test(trimmed)) return Number(trimmed) / 1e3;
  if (/^\d{18,20}$/.test(trimmed)) return Number(trimmed) / 1e6;
  const date = Date.parse(trimmed);
  return Number.isNaN(date) ? undefined : date;
}

/** What a spec means now; the default where it means nothing. */
export function resolve(spec: TimeSpec, now: number): TimeRange {
  const start = parseTime(spec.from, now);
  const end = parseTime(spec.to, now);
  if (start === undefined || end === undefined || end <= start) return resolve(DEFAULT_TIME, now);
  return { start, end };
}

export function isRelative(spec: TimeSpec): boolean {
  return spec.to.startsWith('now');
}
