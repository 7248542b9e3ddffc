// Colours of services: told apart by people who see red and green alike. Red is for errors alone.

const PALETTE = ['#e69f00', '#56b4e9', '#009e73', '#3f7fd0', '#cc79a7', '#b9a917', '#8f6bc9', '#7a8794', '#c0703a', '#2aa3a3'];

const taken = new Map<string, string>();

function hash(name: string): number {
  let value = 2166136261;
  for (let at = 0; at < name.length; at += 1) {
    value = Math.imul(value ^ name.charCodeAt(at), 16777619);
  }
  return value >>> 0;
}

/** The colour that a name asks for, or the next one that fewer have; the same everywhere on a page. */
export function colorOf(service: string): string {
  const known = taken.get(service);
  if (known) return known;
  const first = hash(service) % PALETTE.length;
  const uses = (color: string) => [...taken.values()].filter((used) => used === color).length;
  const ordered = PALETTE.map((_, step) => PALETTE[(first + step) % PALETTE.length] ?? '#7a8794');
  const color = ordered.reduce((best, next) => (uses(next) < uses(best) ? next : best));
  if (taken.size < 1000) taken.set(service, color);
  return color;
}
