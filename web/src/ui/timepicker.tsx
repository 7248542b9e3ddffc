import { useEffect, useRef, useState } from 'preact/hooks';

import { dateTime } from '../format';
import { REFRESH_CHOICES, range, refresh, refreshEvery, setTime, timeSpec } from '../state';
import { text } from '../text';
import { PRESETS, type TimeSpec, isRelative, parseTime } from '../time';
import { update } from '../router';
import { useKeys } from './keys';

function describe(spec: TimeSpec): string {
  const back = /^now-(.+)$/.exec(spec.from);
  if (back?.[1] && spec.to === 'now') return text.time.last(back[1]);
  const { start, end } = range.value;
  const short = (millis: number) => dateTime(millis).slice(0, 19);
  return `${short(start)} – ${isRelative(spec) ? spec.to : short(end)}`;
}

export function TimePicker() {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const spec = timeSpec.value;
  useKeys({ t: () => setOpen(true), Escape: () => setOpen(false) });
  useEffect(() => {
    const away = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener('pointerdown', away);
    return () => document.removeEventListener('pointerdown', away);
  }, []);
  const choose = (next: TimeSpec) => {
    setOpen(false);
    setTime(next);
    refresh();
  };
  return (
    <div class="row">
      <div class="time" ref={root}>
        <button
          type="button"
          class="button"
          aria-haspopup="dialog"
          aria-expanded={open}
          aria-label={`${text.time.choose}: ${describe(spec)}`}
          onClick={() => setOpen(!open)}
        >
          {describe(spec)} <span aria-hidden="true">▾</span>
        </button>
        {open && <Chooser spec={spec} onChoose={choose} />}
      </div>
      <button type="button" class="button icon" aria-label={text.top.refreshNow} title={`${text.top.refreshNow} (r)`} onClick={refresh}>
        <span aria-hidden="true">⟳</span>
      </button>
      <select
        class="select"
        aria-label={text.top.refreshEvery}
        title={text.top.refreshEvery}
        value={refreshEvery.value}
        onChange={(event) => update({ refresh: event.currentTarget.value }, { replace: true })}
      >
        {REFRESH_CHOICES.map((choice) => (
          <option key={choice} value={choice}>
            {choice || text.top.off}
          </option>
        ))}
      </select>
    </div>
  );
}

function Chooser({ spec, onChoose }: { spec: TimeSpec; onChoose: (spec: TimeSpec) => void }) {
  const [from, setFrom] = useState(spec.from);
  const [to, setTo] = useState(spec.to);
  const first = useRef<HTMLButtonElement>(null);
  useEffect(() => first.current?.focus(), []);
  const now = Date.now();
  const [start, end] = [parseTime(from, now), parseTime(to, now)];
  const valid = start !== undefined && end !== undefined && start < end;
  return (
    <div class="popover stack" role="dialog" aria-label={text.time.choose}>
      <div class="presets">
        {PRESETS.map((preset, at) => (
          <button
            key={preset}
            ref={at === 0 ? first : null}
            type="button"
            class="button"
            onClick={() => onChoose({ from: `now-${preset}`, to: 'now' })}
          >
            {preset}
          </button>
        ))}
      </div>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (valid) onChoose({ from: from.trim(), to: to.trim() });
        }}
      >
        <label>
          {text.time.from}
          <input class="field" value={from} onInput={(event) => setFrom(event.currentTarget.value)} />
        </label>
        <label>
          {text.time.to}
          <input class="field" value={to} onInput={(event) => setTo(event.currentTarget.value)} />
        </label>
        <p class={valid ? 'small muted' : 'small bad'}>{valid ? text.time.hint : text.time.invalid}</p>
        <button class="button primary" disabled={!valid}>
          {text.time.apply}
        </button>
      </form>
    </div>
  );
}
