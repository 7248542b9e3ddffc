import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

import { address, location, navigate } from './router';
import { chooseTenant, isDark, refresh, server, setTheme, tenant } from './state';
import { text } from './text';
import { Link } from './ui/basics';
import { type KeyHandlers, useKeys } from './ui/keys';
import { TimePicker } from './ui/timepicker';

const VIEWS = [
  ['explore', text.nav.explore],
  ['mesh', text.nav.mesh],
  ['status', text.nav.status],
] as const;

/** Which view an address belongs to. */
function viewOf(first: string | undefined): string {
  if (first === 'service') return 'mesh';
  return first === undefined || ['trace', 'compare', 'search'].includes(first) ? 'explore' : first;
}

export function Shell({ children }: { children: ComponentChildren }) {
  const [help, setHelp] = useState(false);
  const view = viewOf(location.value.path[0]);
  useShortcuts(() => setHelp(true));
  return (
    <div class="shell">
      <a class="skip" href={window.location.href.replace(/#.*/, '') + '#main'}>
        {text.skip}
      </a>
      <header class="top">
        <Link class="brand" to={address(['explore'])} aria-label={text.brand}>
          <Mark />
          <span>{text.brand}</span>
        </Link>
        <nav class="nav" aria-label={text.nav.label}>
          {VIEWS.map(([name, label]) => (
            <Link key={name} to={address([name])} aria-current={name === view ? 'page' : undefined}>
              {label}
            </Link>
          ))}
        </nav>
        <span class="grow" />
        <OpenTrace />
        <Tenant />
        <TimePicker />
        <button
          type="button"
          class="button icon quiet"
          aria-label={text.top.theme(isDark.value)}
          title={`${text.top.theme(isDark.value)} (d)`}
          onClick={() => setTheme(isDark.value ? 'light' : 'dark')}
        >
          <span aria-hidden="true">{isDark.value ? '☀' : '☾'}</span>
        </button>
        <button
          type="button"
          class="button icon quiet"
          aria-label={text.top.help}
          title={`${text.top.help} (?)`}
          onClick={() => setHelp(true)}
        >
          <span aria-hidden="true">?</span>
        </button>
      </header>
      <main class="page" id="main" tabIndex={-1}>
        {children}
      </main>
      {help && <Help onClose={() => setHelp(false)} />}
    </div>
  );
}

function useShortcuts(help: () => void): void {
  const awaiting = useRef(0);
  const after = (name: string) => {
    if (Date.now() - awaiting.current > 1500) return false;
    awaiting.current = 0;
    navigate(address([name]));
    return true;
  };
  const keys: KeyHandlers = {
    '?': help,
    g: () => {
      awaiting.current = Date.now();
    },
    e: () => void after('explore'),
    m: () => void after('mesh'),
    s: () => void after('status'),
    r: refresh,
    d: () => setTheme(isDark.value ? 'light' : 'dark'),
  };
  useKeys(keys);
}

function Mark() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#0f5fb8" />
      <g fill="#fff">
        <rect x="6" y="7" width="20" height="4" rx="2" />
        <rect x="9" y="14" width="11" height="4" rx="2" opacity=".85" />
        <rect x="14" y="21" width="9" height="4" rx="2" opacity=".7" />
      </g>
    </svg>
  );
}

function OpenTrace() {
  const [id, setId] = useState('');
  const open = (event: Event) => {
    event.preventDefault();
    const wanted = id.trim();
    if (!/^[0-9a-fA-F]{1,32}$/.test(wanted)) return;
    setId('');
    navigate(address(['trace', wanted]));
  };
  return (
    <form onSubmit={open}>
      <input
        class="field open-trace"
        aria-label={text.top.openTrace}
        placeholder={text.top.openTraceHint}
        value={id}
        spellcheck={false}
        onInput={(event) => setId(event.currentTarget.value)}
      />
    </form>
  );
}

function Tenant() {
  if (!server.value?.multitenancy) return null;
  const known = server.value.tenants.map((found) => found.tenant);
  return (
    <label class="row small">
      <span class="muted">{text.top.tenant}</span>
      <input
        class="field"
        style={{ width: '130px' }}
        list="tenants"
        key={tenant.value}
        defaultValue={tenant.value}
        onChange={(event) => chooseTenant(event.currentTarget.value.trim())}
      />
      <datalist id="tenants">
        {known.map((id) => (
          <option key={id} value={id} />
        ))}
      </datalist>
    </label>
  );
}

function Help({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="help-title">
      <div class="row">
        <h1 id="help-title" class="grow">
          {text.keys.title}
        </h1>
        <button type="button" class="button" onClick={() => dialog.current?.close()}>
          {text.keys.close}
        </button>
      </div>
      <div class="shortcuts">
        {text.keys.list.map(([keys, what]) => (
          <>
            <span>
              {keys.split(' ').map((key) => (/^(then|\+)$/.test(key) ? ` ${key} ` : <kbd>{key.replace(',', '')}</kbd>))}
            </span>
            <span>{what}</span>
          </>
        ))}
      </div>
    </dialog>
  );
}
