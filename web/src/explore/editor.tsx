import { type CompletionContext, type CompletionResult, autocompletion, closeBrackets, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { HighlightStyle, LRLanguage, bracketMatching, syntaxHighlighting } from '@codemirror/language';
import { EditorState, StateEffect, StateField } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView, keymap, placeholder } from '@codemirror/view';
import { parser } from '@grafana/lezer-traceql';
import { styleTags, tags } from '@lezer/highlight';
import { useEffect, useRef } from 'preact/hooks';

import * as api from '../api';
import { attribute, quote } from '../query';
import { range } from '../state';
import { text } from '../text';
import { STAGES, placeOf, withoutCurrent } from './complete';

const highlighting = styleTags({
  Identifier: tags.propertyName,
  'Resource Span Event Link Instrumentation Parent': tags.namespace,
  IntrinsicField: tags.propertyName,
  'Integer Float Duration': tags.number,
  Static: tags.atom,
  String: tags.string,
  'FieldOp ComparisonOp ScalarOp And Or Gt Lt Desc Anc Pipe UnionStructuralOp ExperimentalOp': tags.operator,
  'Aggregate GroupOperation SelectOperation CoalesceOperation MetricsOperationBasicType MetricsOverTimeType MetricsOperationQuantile MetricsOperationHistogram With':
    tags.keyword,
  'LineComment BlockComment': tags.comment,
});

const language = LRLanguage.define({ name: 'traceql', parser: parser.configure({ props: [highlighting] }) });

const colors = HighlightStyle.define([
  { tag: tags.string, color: 'var(--code-string)' },
  { tag: tags.number, color: 'var(--code-number)' },
  { tag: tags.atom, color: 'var(--code-number)' },
  { tag: tags.propertyName, color: 'var(--code-name)' },
  { tag: tags.namespace, color: 'var(--code-name)' },
  { tag: tags.keyword, color: 'var(--code-keyword)' },
  { tag: tags.operator, color: 'var(--muted)' },
  { tag: tags.comment, color: 'var(--muted)', fontStyle: 'italic' },
]);

const look = EditorView.theme({
  '&': { fontSize: '13px', background: 'transparent', color: 'var(--text)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-content': { fontFamily: 'var(--mono)', padding: '6px 0', caretColor: 'var(--text)', minHeight: '30px' },
  '.cm-line': { padding: '0 10px' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-placeholder': { color: 'var(--muted)' },
  '.cm-tooltip': { background: 'var(--raised)', border: '1px solid var(--line-strong)', borderRadius: '6px', boxShadow: 'var(--shadow)' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', fontSize: '12px', maxHeight: '16em' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '3px 8px' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { background: 'var(--accent-soft)', color: 'var(--text)' },
  '.cm-completionDetail': { color: 'var(--muted)', fontStyle: 'normal' },
  '.cm-error': { textDecoration: 'underline wavy var(--error)', background: 'var(--error-soft)' },
  '.cm-matchingBracket': { background: 'var(--accent-soft) !important', outline: '1px solid var(--line-strong)' },
});

const setError = StateEffect.define<{ line: number; column: number } | undefined>();

/** Marks the place the server complained about until the text changes. */
const errorMark = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    let next = transaction.docChanged ? Decoration.none : marks;
    for (const effect of transaction.effects) {
      if (effect.is(setError)) next = effect.value ? mark(transaction.state, effect.value) : Decoration.none;
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

function mark(state: EditorState, at: { line: number; column: number }): DecorationSet {
  const { doc } = state;
  if (doc.length === 0) return Decoration.none;
  const line = doc.line(Math.min(Math.max(at.line, 1), doc.lines));
  const from = Math.min(line.from + at.column - 1, Math.max(doc.length - 1, 0));
  const word = /^[\w.]+/.exec(doc.sliceString(from, line.to))?.[0].length ?? 1;
  return Decoration.set([Decoration.mark({ class: 'cm-error' }).range(from, Math.min(from + word, doc.length))]);
}

const MAX_VALUES = 200;

async function complete(context: CompletionContext): Promise<CompletionResult | null> {
  const before = context.state.sliceDoc(0, context.pos);
  const place = placeOf(before);
  if (!place || (place.kind === 'operator' && !context.explicit)) return null;
  if (place.kind === 'stage') return { from: place.from, options: STAGES.map((label) => ({ label, type: 'function' })) };
  if (place.kind === 'operator') {
    return { from: place.from, options: ['=', '!=', '=~', '!~', '>', '>=', '<', '<='].map((label) => ({ label })) };
  }
  const q = withoutCurrent(before);
  try {
    const options = place.kind === 'attribute' ? await attributes(q) : await values(place.attribute, q);
    return context.aborted ? null : { from: place.from, options, validFor: place.kind === 'value' ? /^"?[^"]*$/ : /^[\w.:/"-]*$/ };
  } catch {
    return null;
  }
}

/** Two spellings of the same are one too many. */
const OLD_SPELLINGS = /^(span:(id|name|kind|status|statusMessage|duration)|traceDuration|rootName|rootServiceName|statusMessage)$/;

async function attributes(q: string) {
  const scopes = await api.tagNames(q, range.value);
  return scopes.flatMap(({ name: scope, tags: names = [] }) =>
    names
      .filter((name) => !OLD_SPELLINGS.test(name))
      .map((name) => ({
        label: scope === 'intrinsic' ? name : attribute(scope, name),
        detail: scope,
        boost: scope === 'intrinsic' ? 1 : 0,
      })),
  );
}

async function values(tag: string, q: string) {
  const found = await api.tagValues({ tag, q, range: range.value, limit: MAX_VALUES });
  return found.map(({ type, value }) => ({ label: type === 'string' ? quote(value) : value, detail: type }));
}

interface EditorProps {
  /** The query that was asked last. What is typed since is the editor's own. */
  value: string;
  error: { line: number; column: number } | undefined;
  onChange: (query: string) => void;
  onRun: (query: string) => void;
}

/**
 * The TraceQL editor. It lives in a shadow root: there its styles are adopted by script, which the server's policy
 * allows, and not written into the page, which it does not.
 */
export default function Editor({ value, error, onChange, onRun }: EditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | undefined>(undefined);
  const latest = useRef({ onChange, onRun });
  latest.current = { onChange, onRun };
  useEffect(() => {
    if (!host.current) return undefined;
    const root = host.current.shadowRoot ?? host.current.attachShadow({ mode: 'open', delegatesFocus: true });
    const run = (target: EditorView) => {
      latest.current.onRun(target.state.doc.toString());
      return true;
    };
    view.current = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: value,
        extensions: [
          keymap.of([{ key: 'Mod-Enter', run }, ...completionKeymap, ...defaultKeymap, ...historyKeymap]),
          history(),
          closeBrackets(),
          bracketMatching(),
          language,
          syntaxHighlighting(colors),
          autocompletion({ override: [complete], icons: false, activateOnTyping: true }),
          errorMark,
          look,
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ 'aria-label': text.explore.queryLabel, spellcheck: 'false' }),
          placeholder('{ resource.service.name = "…" && status = error }'),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) latest.current.onChange(update.state.doc.toString());
          }),
        ],
      }),
    });
    return () => view.current?.destroy();
    // The editor owns its text from here on; the next effect passes changes on.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);
  useEffect(() => {
    const editor = view.current;
    if (!editor || editor.state.doc.toString() === value) return;
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: value } });
  }, [value]);
  useEffect(() => view.current?.dispatch({ effects: setError.of(error) }), [error]);
  return <div class="editor" id="query" ref={host} />;
}
