// Why no traces are shown: facts that were gathered, and what they mean.

import { count } from '../format';
import { text } from '../text';
import type { TimeRange } from '../time';

export interface Facts {
  phase: string;
  multitenancy: boolean;
  tenant: string;
  tenantsWithSpans: string[];
  received: number;
  refused: number;
  stored: number;
  failedWrites: number;
  /** Traces within the time range; at most as many as were asked for. */
  inRange: number;
  /** When the newest trace there is began, in unix milliseconds. */
  newest: number | undefined;
  range: TimeRange;
  serverNow: number;
  browserNow: number;
  /** Where spans are taken, as configured. */
  addresses: { otlpGrpc: string; otlpHttp: string };
  host: string;
}

export interface Finding {
  level: 'good' | 'warn' | 'error' | 'hint';
  text: string;
}

const SKEW = 30_000;
const STALE = 300_000;

/** What was found, the gravest first. */
export function diagnose(facts: Facts): Finding[] {
  const words = text.diagnose;
  const found: Finding[] = [];
  const say = (level: Finding['level'], what: string) => found.push({ level, text: what });
  if (facts.phase !== 'ready') say('error', words.notReady);
  if (facts.failedWrites > 0) say('error', words.rejected(count(facts.failedWrites)));
  if (facts.refused > 0) say('warn', words.refused(count(facts.refused)));
  const skew = facts.browserNow - facts.serverNow;
  if (Math.abs(skew) > SKEW) say('warn', words.clock(span(Math.abs(skew))));
  if (facts.multitenancy && facts.tenant === '') say('error', words.noTenant);
  else if (facts.inRange > 0) say('good', words.fine(count(facts.inRange)));
  else if (facts.newest !== undefined) outOfRange(facts, facts.newest, say);
  else nothing(facts, say);
  const rank = { error: 0, warn: 1, good: 2, hint: 3 };
  return found.sort((a, b) => rank[a.level] - rank[b.level]);
}

type Say = (level: Finding['level'], what: string) => void;

function outOfRange(facts: Facts, newest: number, say: Say): void {
  const words = text.diagnose;
  const behind = facts.serverNow - newest;
  if (behind < -SKEW) say('error', words.future(span(-behind)));
  else if (behind > STALE && newest < facts.range.start) say('warn', words.past(span(behind)));
  say('hint', words.older);
  say('hint', words.sampling);
}

function nothing(facts: Facts, say: Say): void {
  const words = text.diagnose;
  const others = facts.tenantsWithSpans.filter((tenant) => tenant !== facts.tenant);
  if (facts.multitenancy && others.length > 0) say('error', words.wrongTenant(facts.tenant, others.join(', ')));
  else if (facts.received === 0 && facts.stored === 0) say('error', words.nothing);
  if (facts.received > 0) say('hint', words.arriving(count(facts.received)));
  say('hint', words.send(reachable(facts.addresses.otlpGrpc, facts.host), `http://${reachable(facts.addresses.otlpHttp, facts.host)}`));
  if (isLoopback(facts.addresses.otlpGrpc) || isLoopback(facts.addresses.otlpHttp)) say('hint', words.loopback);
  say('hint', words.sampling);
}

/** An address that listens everywhere, as somebody else would write it. */
function reachable(address: string, host: string): string {
  return address.replace(/^(0\.0\.0\.0|\[::\])(?=:)/, host);
}

function isLoopback(address: string): boolean {
  return /^(127\.|localhost|\[::1\])/.test(address);
}

function span(millis: number): string {
  if (millis < 120e3) return `${Math.round(millis / 1e3)} s`;
  if (millis < 7200e3) return `${Math.round(millis / 60e3)} min`;
  return millis < 2 * 86_400e3 ? `${Math.round(millis / 3600e3)} h` : `${Math.round(millis / 86_400e3)} d`;
}
