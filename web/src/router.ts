import { computed, signal } from '@preact/signals';

// The base is where the console's root is. It is fixed once: paths change under it.
const base = new URL(document.baseURI);
document.querySelector('base')?.setAttribute('href', base.pathname);

export interface Location {
  /** Decoded segments below the console's root. */
  path: string[];
  params: URLSearchParams;
}

function read(): Location {
  const below = window.location.pathname.slice(base.pathname.length - 1);
  const path = below.split('/').filter(Boolean).map(decode);
  return { path, params: new URLSearchParams(window.location.search) };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

const current = signal(read());

export const location = computed(() => current.value);

window.addEventListener('popstate', () => {
  current.value = read();
});

/** Goes to an address relative to the console's root. */
export function navigate(to: string, how: { replace?: boolean } = {}): void {
  const url = new URL(to, base);
  if (url.href === window.location.href) return;
  if (how.replace) window.history.replaceState(null, '', url);
  else window.history.pushState(null, '', url);
  current.value = read();
  if (!how.replace) window.scrollTo(0, 0);
}

export type Changes = Record<string, string | number | undefined>;

/** The address of a page with these parameters; those that are not said stay out. */
export function address(path: string[], params: Changes = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...kept(), ...params })) {
    if (value !== undefined && value !== '') query.set(name, String(value));
  }
  const text = query.toString();
  return (path.map(encodeURIComponent).join('/') || './') + (text ? `?${text}` : '');
}

/** What goes along from page to page. */
function kept(): Changes {
  const { params } = current.value;
  const of = (name: string) => params.get(name) ?? undefined;
  return { from: of('from'), to: of('to'), refresh: of('refresh'), tenant: of('tenant') };
}

/** Changes parameters of the address and leaves the others. */
export function update(changes: Changes, how: { replace?: boolean } = {}): void {
  const { path, params } = current.value;
  const next = new URLSearchParams(params);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === '') next.delete(name);
    else next.set(name, String(value));
  }
  const text = next.toString();
  navigate((path.map(encodeURIComponent).join('/') || './') + (text ? `?${text}` : ''), how);
}

/** The whole address, for who wants to pass it on. */
export function absolute(to: string): string {
  return new URL(to, base).href;
}

/** The URL of an endpoint of the server. */
export function endpoint(path: string): URL {
  return new URL(path, base);
}
