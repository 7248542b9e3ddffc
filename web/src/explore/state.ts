// What Explore is asked, read from the address and written to it.

import { computed, signal } from '@preact/signals';

import { location, update } from '../router';
import { type Area, readArea, writeArea } from './area';

export type PlotKind = 'scatter' | 'heatmap';
export type Mode = 'builder' | 'query';
export type SortKey = 'started' | 'took' | 'spans' | 'errors';

export const LIMITS = [20, 50, 100, 200, 500, 1000, 2000] as const;
export const DEFAULT_LIMIT = 100;
export const MAX_LIMIT = 10_000;

const param = (name: string) => location.value.params.get(name) ?? '';

export const query = computed(() => param('q') || '{}');
export const plot = computed<PlotKind>(() => (param('plot') === 'heatmap' ? 'heatmap' : 'scatter'));
export const mode = computed<Mode>(() => (param('mode') === 'query' ? 'query' : 'builder'));
export const limit = computed(() => {
  const wanted = Math.floor(Number(param('limit')));
  return wanted >= 1 ? Math.min(wanted, MAX_LIMIT) : DEFAULT_LIMIT;
});
export const sort = computed<SortKey>(() => {
  const wanted = param('sort');
  return wanted === 'took' || wanted === 'spans' || wanted === 'errors' ? wanted : 'started';
});

export const area = computed<Area | undefined>(() => readArea(param('sel')));

/** Asks something else; what was selected in the plots goes. */
export function ask(q: string): void {
  update({ q: q === '{}' ? '' : q, sel: '' });
}

export function select(chosen: Area | undefined): void {
  update({ sel: writeArea(chosen) }, { replace: true });
}

/** The trace under the pointer, in the list or in the plot. */
export const hovered = signal('');
