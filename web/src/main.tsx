import './styles/base.css';
import './styles/ui.css';
import './styles/shell.css';

import { Component, type ComponentChildren, type ComponentType, render } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import { redirect } from './links';
import { address, location, navigate } from './router';
import { loadServer } from './state';
import { Shell } from './shell';
import { text } from './text';
import { Empty, Failure, Link, Skeleton } from './ui/basics';

type Page = () => Promise<{ default: ComponentType }>;

/** The views by the first segment of their address; each is loaded when it is first shown. */
const PAGES: Record<string, Page> = {
  explore: () => import('./explore/page'),
  trace: () => import('./trace/page'),
  compare: () => import('./compare/page'),
  mesh: () => import('./mesh/page'),
  service: () => import('./service/page'),
  status: () => import('./status/page'),
};

function NotFound() {
  return (
    <Empty title={text.states.notFound} hint={text.states.notFoundHint}>
      <Link class="button" to={address(['explore'])}>
        {text.states.toExplore}
      </Link>
    </Empty>
  );
}

function View({ name }: { name: string }) {
  const [page, setPage] = useState<{ name: string; show: ComponentType }>();
  const [error, setError] = useState<Error>();
  useEffect(() => {
    const load = PAGES[name];
    if (!load) return;
    load().then(
      (module) => setPage({ name, show: module.default }),
      (reason: unknown) => setError(reason instanceof Error ? reason : new Error(String(reason))),
    );
  }, [name]);
  if (!(name in PAGES)) return <NotFound />;
  if (error) return <Failure error={error} />;
  if (page?.name !== name) return <Skeleton rows={6} />;
  return <page.show />;
}

/** A view that fails leaves the rest of the page usable. */
class Boundary extends Component<{ children: ComponentChildren }, { error?: Error }> {
  override componentDidCatch(error: Error): void {
    this.setState({ error });
  }

  override render() {
    const { error } = this.state;
    return error ? <Failure error={error} title={text.states.crashed} /> : this.props.children;
  }
}

function App() {
  const target = redirect(location.value);
  const to = target && address(target.path, target.params);
  useEffect(() => {
    if (to !== undefined) navigate(to, { replace: true });
  }, [to]);
  const name = location.value.path[0] ?? 'explore';
  return (
    <Shell>
      {to === undefined && (
        <Boundary key={name}>
          <View name={name} />
        </Boundary>
      )}
    </Shell>
  );
}

void loadServer();
const root = document.getElementById('app');
if (root) render(<App />, root);
