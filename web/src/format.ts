const LOCALE = 'en-GB';

/** A duration in nanoseconds with three digits that count: `1.23 ms`. */
export function duration(nanos: number): string {
  if (!Number.isFinite(nanos)) return '–';
  const magnitude = Math.abs(nanos);
  if (magnitude >= 3600e9) return `${digits(nanos / 3600e9)} h`;
  if (magnitude >= 60e9) return `${digits(nanos / 60e9)} min`;
  if (magnitude >= 1e9) return `${digits(nanos / 1e9)} s`;
  if (magnitude >= 1e6) return `${digits(nanos / 1e6)} ms`;
  if (magnitude >= 1e3) return `${digits(nanos / 1e3)} µs`;
  return `${digits(nanos)} ns`;
}

/** Three digits that count, without an exponent. */
export function digits(value: number): string {
  if (value === 0) return '0';
  const magnitude = Math.abs(value);
  const decimals = magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : 2;
  return trimZeros(value.toFixed(decimals));
}

function trimZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

export function count(value: number): string {
  return Math.round(value).toLocaleString(LOCALE);
}

/** `1.2k`, `3.4M` where room is short. */
export function compact(value: number): string {
  if (value >= 1e9) return `${digits(value / 1e9)}G`;
  if (value >= 1e6) return `${digits(value / 1e6)}M`;
  if (value >= 1e4) return `${digits(value / 1e3)}k`;
  return value >= 100 || Number.isInteger(value) ? count(value) : digits(value);
}

export function bytes(value: number): string {
  if (value >= 2 ** 30) return `${digits(value / 2 ** 30)} GiB`;
  if (value >= 2 ** 20) return `${digits(value / 2 ** 20)} MiB`;
  if (value >= 2 ** 10) return `${digits(value / 2 ** 10)} KiB`;
  return `${count(value)} B`;
}

/** A share of 1 as per cent: never 0 % for what is not nothing, nor 100 % for what is not all. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return '–';
  const value = share * 100;
  if (value > 0 && value < 0.1) return '<0.1 %';
  if (value < 100 && value > 99.9) return '>99.9 %';
  return `${digits(value)} %`;
}

export function rate(perSecond: number): string {
  if (perSecond > 0 && perSecond < 0.01) return '<0.01/s';
  return `${compact(perSecond)}/s`;
}

const TIME = new Intl.DateTimeFormat(LOCALE, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
});
const SHORT_TIME = new Intl.DateTimeFormat(LOCALE, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const DATE = new Intl.DateTimeFormat(LOCALE, { year: 'numeric', month: '2-digit', day: '2-digit' });

export function clock(millis: number): string {
  return TIME.format(millis);
}

export function dateTime(millis: number): string {
  const date = new Date(millis);
  return `${isoDay(date)} ${TIME.format(date)}`;
}

/** Without fractions; without the date for times of today. */
export function shortDateTime(millis: number, now: number): string {
  const today = DATE.format(now) === DATE.format(millis);
  const time = SHORT_TIME.format(millis);
  return today ? time : `${isoDay(new Date(millis))} ${time}`;
}

function isoDay(date: Date): string {
  const pad = (value: number) => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

export function ago(millis: number, now: number): string {
  const seconds = Math.round((now - millis) / 1e3);
  if (Math.abs(seconds) < 1) return 'now';
  const text = spanOf(Math.abs(seconds));
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

function spanOf(seconds: number): string {
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

const MINUTES = new Intl.DateTimeFormat(LOCALE, { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat(LOCALE, { day: '2-digit', month: 'short' });

/** A mark on a time axis with marks `step` seconds apart. */
export function tick(millis: number, step: number): string {
  if (step >= 86_400) return DAY.format(millis);
  return step >= 60 ? MINUTES.format(millis) : SHORT_TIME.format(millis);
}
