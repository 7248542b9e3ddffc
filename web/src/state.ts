// What every page shares: time, theme, tenant, and the beat of the auto-refresh.

import { computed, effect, signal } from '@preact/signals';

import * as api from './api';
import { location, update } from './router';
import { DEFAULT_TIME, type TimeRange, type TimeSpec, isRelative, parseSpan, resolve } from './time';

export const timeSpec = computed<TimeSpec>(() => {
  const { params } = location.value;
  const from = params.get('from');
  return from ? { from, to: params.get('to') ?? 'now' } : DEFAULT_TIME;
});

/** Counts refreshes. Whoever shows data of "now" asks again when it changes. */
export const beat = signal(0);

/** The range that pages ask about; fixed between refreshes, so that all parts of a page agree. */
export const range = computed<TimeRange>(() => {
  const now = beat.value >= 0 ? Date.now() : 0;
  return resolve(timeSpec.value, now);
});

export function setTime(spec: TimeSpec): void {
  update({ from: spec.from, to: spec.to });
}

export function refresh(): void {
  beat.value += 1;
}

export const REFRESH_CHOICES = ['', '5s', '10s', '30s', '1m', '5m'] as const;

export const refreshEvery = computed(() => location.value.params.get('refresh') ?? '');

effect(() => {
  const every = parseSpan(refreshEvery.value);
  if (!every || every < 1000 || !isRelative(timeSpec.value)) return undefined;
  const timer = setInterval(() => {
    if (!document.hidden) refresh();
  }, every);
  return () => clearInterval(timer);
});

export type Theme = 'light' | 'dark' | 'auto';

const THEME = 'vivace.theme';

/** Private windows may refuse storage. */
export function remembered(key: string): string {
  try {
    return localStorage.getItem(key) ?? '';
  } catch {
    return '';
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // What cannot be remembered holds for this page.
  }
}

const savedTheme = remembered(THEME);
export const theme = signal<Theme>(savedTheme === 'light' || savedTheme === 'dark' ? savedTheme : 'auto');

const prefersDark = window.matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(prefersDark.matches);
prefersDark.addEventListener('change', (event) => {
  systemDark.value = event.matches;
});

export const isDark = computed(() => (theme.value === 'auto' ? systemDark.value : theme.value === 'dark'));

effect(() => {
  document.documentElement.dataset['theme'] = isDark.value ? 'dark' : 'light';
});

export function setTheme(next: Theme): void {
  theme.value = next;
  remember(THEME, next);
}

const TENANT = 'vivace.tenant';

/** In the address, so that a link shows the same to who opens it; else the one used last. */
export const tenant = computed(() => location.value.params.get('tenant') ?? remembered(TENANT));

effect(() => api.setTenant(tenant.value));

export function chooseTenant(id: string): void {
  remember(TENANT, id);
  update({ tenant: id });
  refresh();
}

/** What the server says of itself; `undefined` until it has. */
export const server = signal<api.ServerStatus | undefined>(undefined);

export async function loadServer(): Promise<void> {
  try {
    server.value = await api.status();
  } catch {
    // Pages show what fails; this only decides whether a tenant is asked for.
  }
}
