/** An area of a plot: unix milliseconds and nanoseconds. */
export interface Area {
  start: number;
  end: number;
  shortest: number;
  longest: number;
}

export function readArea(text: string): Area | undefined {
  const numbers = text.split(',').map(Number);
  if (text === '' || numbers.length !== 4 || numbers.some((number) => !Number.isFinite(number))) return undefined;
  const [start = 0, end = 0, shortest = 0, longest = 0] = numbers;
  return start <= end && shortest <= longest ? { start, end, shortest, longest } : undefined;
}

export function writeArea(chosen: Area | undefined): string {
  if (!chosen) return '';
  const { start, end, shortest, longest } = chosen;
  return [start, end, shortest, longest].map(Math.round).join(',');
}
