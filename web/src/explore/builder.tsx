import * as api from '../api';
import { type Built, type Condition, OPERATORS, type Operator, attribute, build, isDuration } from '../query';
import { range } from '../state';
import { text } from '../text';
import { Segments } from '../ui/basics';
import { Combo } from '../ui/combo';

interface BuilderProps {
  built: Built;
  onChange: (built: Built) => void;
  /** Something was chosen that is to be asked at once. */
  onRun: (built: Built) => void;
}

const MAX_SUGGESTIONS = 500;

/** Values of an attribute among the spans that fit everything else that is asked. */
function valuesOf(tag: string, others: Built) {
  return async (signal: AbortSignal) => {
    const found = await api.tagValues({ tag, q: build(others), range: range.value, limit: MAX_SUGGESTIONS }, signal);
    return found.map(({ value }) => value).sort();
  };
}

async function tagSuggestions(signal: AbortSignal): Promise<string[]> {
  const scopes = await api.tagNames('{}', range.value, signal);
  const named = scopes.filter(({ name }) => name !== 'intrinsic');
  return named.flatMap(({ name, tags = [] }) => tags.map((tag) => attribute(name, tag)));
}

const STATUSES = [
  ['', text.explore.any],
  ['error', text.explore.error],
  ['ok', text.explore.ok],
  ['unset', text.explore.unset],
] as const;

export function Builder({ built, onChange, onRun }: BuilderProps) {
  const set = (change: Partial<Built>) => onChange({ ...built, ...change });
  const setTag = (at: number, change: Partial<Condition>) =>
    set({ tags: built.tags.map((tag, index) => (index === at ? { ...tag, ...change } : tag)) });
  const run = () => onRun(built);
  const words = text.explore;
  return (
    <div class="builder">
      <Field label={words.service}>
        <Combo
          label={words.service}
          value={built.service}
          placeholder={words.any}
          suggest={valuesOf('resource.service.name', { ...built, service: '' })}
          onChange={(service) => set({ service })}
          onEnter={run}
        />
      </Field>
      <Field label={words.operation}>
        <Combo
          label={words.operation}
          value={built.operation}
          placeholder={words.any}
          suggest={valuesOf('name', { ...built, operation: '' })}
          onChange={(operation) => set({ operation })}
          onEnter={run}
        />
      </Field>
      <Field label={words.status} fixed>
        <Segments
          label={words.status}
          value={built.status}
          options={STATUSES}
          onChoose={(status) => onRun({ ...built, status })}
        />
      </Field>
      <Field label={words.minDuration} narrow>
        <Combo
          label={words.minDuration}
          value={built.minDuration}
          placeholder="10ms"
          invalid={!isDuration(built.minDuration)}
          onChange={(minDuration) => set({ minDuration })}
          onEnter={run}
        />
      </Field>
      <Field label={words.maxDuration} narrow>
        <Combo
          label={words.maxDuration}
          value={built.maxDuration}
          placeholder="1.5s"
          invalid={!isDuration(built.maxDuration)}
          onChange={(maxDuration) => set({ maxDuration })}
          onEnter={run}
        />
      </Field>
      <div class="tags">
        {built.tags.map((tag, at) => (
          <div key={at} class="row tag-row" role="group" aria-label={`${words.tags} ${at + 1}`}>
            <Combo
              label={words.tagName}
              value={tag.attribute}
              placeholder="span.http.status_code"
              suggest={tagSuggestions}
              onChange={(name) => setTag(at, { attribute: name })}
            />
            <select
              class="select"
              aria-label={words.tagOperator}
              value={tag.operator}
              onChange={(event) => setTag(at, { operator: event.currentTarget.value as Operator })}
            >
              {OPERATORS.map((operator) => (
                <option key={operator}>{operator}</option>
              ))}
            </select>
            <Combo
              label={words.tagValue}
              value={tag.value}
              suggest={valuesOf(tag.attribute, { ...built, tags: built.tags.filter((_, index) => index !== at) })}
              onChange={(value) => setTag(at, { value })}
              onEnter={run}
            />
            <button
              type="button"
              class="button icon quiet"
              aria-label={words.removeTag}
              onClick={() => onRun({ ...built, tags: built.tags.filter((_, index) => index !== at) })}
            >
              ×
            </button>
          </div>
        ))}
        <button
          type="button"
          class="button quiet add-tag"
          onClick={() => set({ tags: [...built.tags, { attribute: '', operator: '=', value: '' }] })}
        >
          + {words.addTag}
        </button>
      </div>
    </div>
  );
}

interface FieldProps {
  label: string;
  narrow?: boolean;
  fixed?: boolean;
  children: preact.ComponentChildren;
}

function Field({ label, narrow, fixed, children }: FieldProps) {
  return (
    <div class={`builder-field${narrow ? ' narrow' : ''}${fixed ? ' fixed' : ''}`}>
      <span class="stacked-label" aria-hidden="true">
        {label}
      </span>
      {children}
    </div>
  );
}

