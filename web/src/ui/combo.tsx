import { useEffect, useRef, useState } from 'preact/hooks';
import { useId } from 'preact/hooks';

import { text } from '../text';

interface ComboProps {
  label: string;
  value: string;
  placeholder?: string;
  invalid?: boolean;
  /** What could be chosen; asked when the field is entered. */
  suggest?: (signal: AbortSignal) => Promise<string[]>;
  onChange: (value: string) => void;
  onEnter?: () => void;
}

const SHOWN = 100;

/** A text field with suggestions, by mouse and by keyboard. */
export function Combo({ label, value, placeholder, invalid, suggest, onChange, onEnter }: ComboProps) {
  const [open, setOpen] = useState(false);
  const [options, setOptions] = useState<string[]>([]);
  const [chosen, setChosen] = useState(-1);
  const [typed, setTyped] = useState(false);
  const asked = useRef<AbortController | undefined>(undefined);
  const id = useId();
  useEffect(() => () => asked.current?.abort(), []);
  const enter = () => {
    setOpen(true);
    setTyped(false);
    setChosen(-1);
    if (!suggest) return;
    asked.current?.abort();
    const abort = new AbortController();
    asked.current = abort;
    suggest(abort.signal).then(setOptions, () => setOptions([]));
  };
  const needle = typed ? value.toLowerCase() : '';
  const shown = options.filter((option) => option.toLowerCase().includes(needle)).slice(0, SHOWN);
  const choose = (option: string) => {
    onChange(option);
    setOpen(false);
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      if (!open) enter();
      const step = event.key === 'ArrowDown' ? 1 : -1;
      setChosen(Math.max(-1, Math.min(shown.length - 1, chosen + step)));
    } else if (event.key === 'Escape') setOpen(false);
    else if (event.key === 'Enter') {
      event.preventDefault();
      const option = open ? shown[chosen] : undefined;
      if (option !== undefined) choose(option);
      else {
        setOpen(false);
        onEnter?.();
      }
    }
  };
  const isOpen = open && shown.length > 0;
  return (
    <div class="combo">
      <input
        class={invalid ? 'field invalid' : 'field'}
        role="combobox"
        aria-label={label}
        aria-expanded={isOpen}
        aria-controls={`${id}-list`}
        aria-autocomplete="list"
        aria-invalid={invalid}
        aria-activedescendant={isOpen && chosen >= 0 ? `${id}-${chosen}` : undefined}
        placeholder={placeholder}
        value={value}
        spellcheck={false}
        autocomplete="off"
        onFocus={enter}
        onBlur={() => setOpen(false)}
        onInput={(event) => {
          setTyped(true);
          setOpen(true);
          setChosen(-1);
          onChange(event.currentTarget.value);
        }}
        onKeyDown={onKey}
      />
      <ul
        class="popover options"
        role="listbox"
        id={`${id}-list`}
        aria-label={`${label}: ${text.explore.suggestions}`}
        hidden={!isOpen}
      >
        {isOpen &&
          shown.map((option, at) => (
            <li
              key={option}
              id={`${id}-${at}`}
              role="option"
              aria-selected={at === chosen}
              onPointerDown={(event) => {
                event.preventDefault();
                choose(option);
              }}
            >
              {option}
            </li>
          ))}
      </ul>
    </div>
  );
}
