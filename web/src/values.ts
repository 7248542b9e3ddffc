// Values as the API writes them, read.

import type { AnyValue, KeyValue } from './api';

/** The number of a sample or series; nothing is 0, as in protobuf. */
export function numberOf(value: number | string | undefined): number {
  return value === undefined ? 0 : Number(value);
}

/** The value of a label as text. */
export function labelOf(labels: KeyValue[] | undefined, key: string): string | undefined {
  const value = labels?.find((label) => label.key === key)?.value;
  return value === undefined ? undefined : textOf(value);
}

/** Any value as a person reads it. */
export function textOf(value: AnyValue | undefined): string {
  if (!value) return '';
  if (value.stringValue !== undefined) return value.stringValue;
  if (value.intValue !== undefined) return value.intValue;
  if (value.doubleValue !== undefined) return String(value.doubleValue);
  if (value.boolValue !== undefined) return String(value.boolValue);
  if (value.bytesValue !== undefined) return value.bytesValue;
  if (value.arrayValue) return `[${(value.arrayValue.values ?? []).map(textOf).join(', ')}]`;
  if (!value.kvlistValue) return '';
  const pairs = (value.kvlistValue.values ?? []).map((pair) => `${pair.key}: ${textOf(pair.value)}`);
  return `{${pairs.join(', ')}}`;
}
