import type { ComponentChildren, HTMLAttributes } from 'preact';

import { ApiError } from '../api';
import { navigate } from '../router';
import { refresh } from '../state';
import { text } from '../text';
import { colorOf } from './colors';

interface LinkProps extends HTMLAttributes<HTMLAnchorElement> {
  to: string;
  children?: ComponentChildren;
}

/** A link within the console; other ways of clicking stay the browser's. */
export function Link({ to, children, ...rest }: LinkProps) {
  const go = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(to);
  };
  return (
    <a href={to} onClick={go} {...rest}>
      {children}
    </a>
  );
}

/** A service's colour; its name stands beside it. */
export function Dot({ service }: { service: string }) {
  return <span class="dot" style={{ background: colorOf(service) }} aria-hidden="true" />;
}

interface SegmentsProps<T extends string> {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChoose: (value: T) => void;
}

/** One of a few. */
export function Segments<T extends string>({ label, value, options, onChoose }: SegmentsProps<T>) {
  return (
    <div class="segments" role="group" aria-label={label}>
      {options.map(([option, name]) => (
        <button key={option} type="button" aria-pressed={option === value} onClick={() => onChoose(option)}>
          {name}
        </button>
      ))}
    </div>
  );
}

/** How far something is; without `share` only that it goes on. */
export function Progress({ share, label }: { share?: number | undefined; label: string }) {
  const known = share === undefined ? {} : { 'aria-valuenow': Math.round(share * 100) };
  return (
    <div class={share === undefined ? 'progress unknown' : 'progress'} role="progressbar" aria-label={label} {...known}>
      <div style={share === undefined ? {} : { width: `${share * 100}%` }} />
    </div>
  );
}

export function Failure({ error, title }: { error: Error; title?: string }) {
  const offline = error instanceof ApiError && error.status === 0;
  return (
    <div class="note error" role="alert">
      <div class="grow">
        <strong>{title ?? text.states.failed}</strong>
        <pre>{offline ? text.states.offline : error.message}</pre>
      </div>
      <button type="button" class="button tiny" onClick={refresh}>
        {text.states.retry}
      </button>
    </div>
  );
}

export function Partial({ reason }: { reason: string | null | undefined }) {
  if (!reason) return null;
  return (
    <div class="note warn" role="status">
      <span>
        <strong>{text.states.partial}.</strong> {reason}
      </span>
    </div>
  );
}

interface EmptyProps {
  title: string;
  hint?: string;
  children?: ComponentChildren;
}

export function Empty({ title, hint, children }: EmptyProps) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {hint && <p>{hint}</p>}
      {children && <div class="row wrap">{children}</div>}
    </div>
  );
}

/** Rows of nothing, as tall as what will be there. */
export function Skeleton({ rows, height = 20 }: { rows: number; height?: number }) {
  return (
    <div class="stack body" role="status" aria-label={text.states.loading}>
      {Array.from({ length: rows }, (_, at) => (
        <div key={at} class="skeleton" style={{ height: `${height}px`, width: `${96 - ((at * 17) % 40)}%` }} />
      ))}
    </div>
  );
}
