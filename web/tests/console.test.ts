import { readFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRequire } from 'node:module';

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { FAILS_EVERY, GIANT, TRACES, giant, traceId } from './data';
import { type Look, type Server, type View, open, picture, send, startBrowser, startMesh, startServer, until } from './harness';

let server: Server;
let browser: Browser;

beforeAll(async () => {
  server = await startMesh();
  browser = await startBrowser();
});

afterAll(async () => {
  await browser.close();
  await server.stop();
});

/** Opens a page of the console, looks at it, and expects nothing to have gone wrong in it. */
async function visit(path: string, look: (page: Page, view: View) => Promise<void>, as: Look = {}): Promise<void> {
  const view = await open(browser, `${server.url}${path}`, as);
  try {
    await look(view.page, view);
    expect(view.faults).toEqual([]);
  } finally {
    await view.close();
  }
}

const results = (page: Page) => page.locator('.trace-row');
const rowCount = (page: Page, count: number) => until(async () => (await results(page).count()) === count);
const params = (page: Page) => new URL(page.url()).searchParams;
const FAILED = TRACES / FAILS_EVERY;

describe('Explore', () => {
  it('lists traces and narrows them with the builder; everything is in the address', () =>
    visit('/', async (page) => {
      await rowCount(page, TRACES);
      expect(new URL(page.url()).pathname).toBe('/explore');
      await page.getByRole('button', { name: 'Error', exact: true }).click();
      await rowCount(page, FAILED);
      expect(params(page).get('q')).toBe('{ status = error }');
      const service = page.getByRole('combobox', { name: 'Service', exact: true });
      await service.click();
      await page.getByRole('option', { name: 'cart.shop' }).click();
      await page.getByRole('button', { name: 'Run' }).click();
      await until(() => params(page).get('q') === '{ resource.service.name = "cart.shop" && status = error }');
      await rowCount(page, FAILED);
      await page.reload();
      await rowCount(page, FAILED);
      expect(await service.inputValue()).toBe('cart.shop');
      await page.goBack();
      await until(() => params(page).get('q') === '{ status = error }');
    }));

  it('writes TraceQL with suggestions of the server, and says where a query is wrong', () =>
    visit('/explore?mode=query', async (page, view) => {
      const editor = page.getByRole('textbox', { name: 'TraceQL query' });
      await editor.click();
      await page.keyboard.press('Control+A');
      await page.keyboard.type('{ resource.service.name = ');
      await page.getByRole('option', { name: '"stock.shop"' }).click();
      await page.keyboard.press('Control+Enter');
      await until(() => (params(page).get('q') ?? '').includes('"stock.shop"'));
      await rowCount(page, TRACES - FAILED);
      await editor.click();
      await page.keyboard.press('Control+A');
      await page.keyboard.type('{ status = }');
      await page.keyboard.press('Escape');
      await page.keyboard.press('Control+Enter');
      await page.getByRole('alert').getByText('line 1').waitFor();
      await page.locator('.cm-error').waitFor();
      // The browser reports the refusal too, which is meant.
      view.faults.splice(0);
    }));

  it('selects in the scatter plot, and clears', () =>
    visit('/explore', async (page) => {
      await rowCount(page, TRACES);
      const plot = page.locator('.scatter .u-over');
      const box = await plot.boundingBox();
      if (!box) throw new Error('no plot');
      await page.mouse.move(box.x + box.width * 0.85, box.y + 2);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width - 4, box.y + box.height - 2, { steps: 4 });
      await page.mouse.up();
      await until(() => params(page).has('sel'));
      await until(async () => (await results(page).count()) < TRACES);
      const selected = await results(page).count();
      expect(selected).toBeGreaterThan(0);
      await page.reload();
      await rowCount(page, selected);
      await page.getByRole('button', { name: 'Clear selection' }).click();
      await rowCount(page, TRACES);
    }));

  it('selects in the heatmap what a search then finds', () =>
    visit('/explore?plot=heatmap', async (page) => {
      await rowCount(page, TRACES);
      const plot = page.locator('.heatmap .u-over');
      await plot.waitFor();
      const box = await plot.boundingBox();
      if (!box) throw new Error('no plot');
      await page.mouse.move(box.x + 2, box.y + 2);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width - 2, box.y + box.height * 0.4, { steps: 4 });
      await page.mouse.up();
      await until(() => params(page).has('sel'));
      await page.getByText(/selected$/).waitFor();
      await until(async () => (await results(page).count()) > 0);
      await picture(page, 'heatmap');
    }));

  it('says so when nothing is found', () =>
    visit('/explore?q=%7B%20name%20%3D%20%22none%22%20%7D', async (page) => {
      await page.getByRole('heading', { name: 'No traces match' }).waitFor();
      await page.getByRole('link', { name: 'Why is there nothing?' }).click();
      await page.getByRole('heading', { name: 'Status' }).waitFor();
    }));
});

describe('a trace', () => {
  it('is opened from the list, shows where it failed, and is compared with a good one', () =>
    visit('/explore?q=%7B%20status%20%3D%20error%20%7D', async (page) => {
      await results(page).first().getByRole('link').click();
      await page.getByLabel('Errors').getByRole('button').click();
      const details = page.getByRole('complementary', { name: 'Span details' });
      await details.getByText('connection refused').waitFor();
      await details.getByText('The connection to the upstream failed.').waitFor();
      await details.getByText('cart-v1.shop → stock-v1.shop').waitFor();
      await details.getByText('exception', { exact: true }).waitFor();
      await until(() => params(page).has('span'));
      await picture(page, 'trace');
      await page.getByRole('button', { name: 'Compare with…' }).click();
      await page.getByRole('button', { name: 'A good one to compare with' }).click();
      await page.getByRole('heading', { name: 'Compare traces' }).waitFor();
      await page.getByText(/1 removed/).waitFor();
      expect(await page.locator('.side .mark-removed').count()).toBe(1);
      await picture(page, 'compare');
    }));

  it('has a flame graph, a table, and its JSON, each at its address', () =>
    visit(`/trace/${traceId(1)}`, async (page) => {
      await page.getByRole('treegrid').waitFor();
      expect(await page.locator('.span-row').count()).toBe(5);
      await page.getByRole('button', { name: 'Flame graph' }).click();
      await page.getByRole('img', { name: 'Flame graph' }).waitFor();
      await page.reload();
      await page.getByRole('img', { name: 'Flame graph' }).waitFor();
      await page.getByRole('button', { name: 'Table', exact: true }).click();
      await page.getByRole('cell', { name: 'GET /stock' }).waitFor();
      await page.getByRole('button', { name: 'JSON', exact: true }).click();
      await page.getByText('"resourceSpans"').waitFor();
    }));

  it('is walked with the keyboard, folded and searched', () =>
    visit(`/trace/${traceId(1)}`, async (page) => {
      await page.getByRole('treegrid').focus();
      await page.keyboard.press('Home');
      await page.keyboard.press('ArrowDown');
      await page.locator('.span-row.selected', { hasText: 'GET cart' }).waitFor();
      await page.keyboard.press('ArrowLeft');
      await until(async () => (await page.locator('.span-row').count()) === 2);
      await page.keyboard.press('ArrowRight');
      await until(async () => (await page.locator('.span-row').count()) === 5);
      await page.keyboard.press('Escape');
      await page.keyboard.press('/');
      await page.keyboard.type('/stock');
      await page.getByText('0 of 1').waitFor();
      await page.keyboard.press('Enter');
      await page.locator('.span-row.selected', { hasText: 'GET /stock' }).waitFor();
      expect(params(page).get('find')).toBe('/stock');
    }));

  it('leads to a search for one of its attributes, and to one without it', () =>
    visit(`/trace/${traceId(1)}?find=x`, async (page) => {
      await page.locator('.span-row').nth(2).click();
      await page.getByRole('link', { name: 'Find traces with this number' }).click();
      await rowCount(page, 1);
      await page.goBack();
      await page.getByRole('link', { name: 'Find traces without this number' }).click();
      await rowCount(page, TRACES - 1);
    }));

  it('that is not there is said to be missing', () =>
    visit('/trace/123456', async (page) => {
      await page.getByRole('heading', { name: 'There is no such trace' }).waitFor();
    }));
});

describe('the mesh', () => {
  it('shows who calls whom, and leads to a service', () =>
    visit('/mesh', async (page) => {
      const cart = page.getByRole('button', { name: /^cart\.shop: / });
      await cart.waitFor();
      expect(await page.locator('.node').count()).toBeGreaterThanOrEqual(3);
      await page.getByRole('button', { name: /^front\.shop to cart\.shop/ }).waitFor();
      await cart.click();
      await until(() => params(page).get('on') === 'cart.shop');
      await picture(page, 'mesh');
      await page.getByRole('link', { name: 'Open service' }).click();
      await page.getByRole('heading', { name: 'cart.shop' }).waitFor();
    }));

  it('tells of a service how often, how long, how badly', () =>
    visit('/service/cart.shop', async (page) => {
      await page.getByRole('cell', { name: 'GET /cart' }).waitFor();
      await page.getByLabel('Failing traces').getByRole('listitem').first().waitFor();
      expect(await page.getByLabel('Failing traces').getByRole('listitem').count()).toBe(Math.min(FAILED, 8));
      await page.getByRole('link', { name: /^UF,URX/ }).waitFor();
      await picture(page, 'service');
      await page.getByRole('link', { name: 'GET /cart' }).click();
      await rowCount(page, TRACES);
    }));

  it('says so when a service has no traffic', () =>
    visit('/service/nobody', async (page) => {
      await page.getByRole('heading', { name: 'No requests in this time range' }).waitFor();
    }));
});

describe('the status', () => {
  it('shows memory, limits and storage, and finds nothing wrong', () =>
    visit('/status', async (page) => {
      await page.getByText('Healthy').waitFor();
      await page.getByText('Newest spans', { exact: true }).waitFor();
      await page.getByRole('cell', { name: 'max_result_limit' }).waitFor();
      await page.getByRole('button', { name: 'Check now' }).click();
      await page.getByText(/All is well/).waitFor();
      await picture(page, 'status');
    }));

  it('tells who sees nothing what is wrong: no spans, then the wrong tenant', async () => {
    const other = await startServer('--multitenancy=true');
    const view = await open(browser, `${other.url}/status?tenant=mine`);
    try {
      await view.page.getByRole('button', { name: 'Check now' }).click();
      await view.page.getByText(/No span has been received/).waitFor();
      await view.page.getByText(/Send OTLP over gRPC to/).waitFor();
      expect(await view.page.getByRole('combobox', { name: 'Tenant' }).inputValue()).toBe('mine');
    } finally {
      await view.close();
      await other.stop();
    }
  });
});

describe('addresses of others', () => {
  it('of Jaeger select the span', () =>
    visit(`/trace/${traceId(0)}?uiFind=0000000000000004`, async (page) => {
      await page.locator('.span-row.selected', { hasText: 'stock.shop' }).waitFor();
      expect(params(page).get('span')).toBe('0000000000000004');
    }));

  it('of Grafana open the trace', () => {
    const panes = { a: { queries: [{ queryType: 'traceql', query: traceId(0) }], range: { from: 'now-1h', to: 'now' } } };
    return visit(`/explore?panes=${encodeURIComponent(JSON.stringify(panes))}&schemaVersion=1`, async (page) => {
      await page.getByRole('treegrid').waitFor();
      expect(new URL(page.url()).pathname).toBe(`/trace/${traceId(0)}`);
    });
  });

  it('are not found when they are nobody’s', async () => {
    const response = await fetch(`${server.url}/nothing`);
    expect(response.status).toBe(404);
  });
});

describe('behind a proxy', () => {
  it('works under a prefix that the proxy takes off', async () => {
    const { port: to } = new URL(server.url);
    const proxy = createServer((asked, answer) => {
      const path = (asked.url ?? '').replace(/^\/tools\/traces/, '');
      const passed = request({ port: to, host: '127.0.0.1', path, method: asked.method, headers: asked.headers }, (got) => {
        answer.writeHead(got.statusCode ?? 500, got.headers);
        got.pipe(answer);
      });
      asked.pipe(passed);
    });
    await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done));
    const { port } = proxy.address() as AddressInfo;
    const view = await open(browser, `http://127.0.0.1:${port}/tools/traces/trace/${traceId(0)}`);
    try {
      await view.page.getByRole('treegrid').waitFor();
      await view.page.getByRole('link', { name: 'Explore', exact: true }).click();
      await rowCount(view.page, TRACES);
      expect(new URL(view.page.url()).pathname).toBe('/tools/traces/explore');
      expect(view.faults).toEqual([]);
    } finally {
      await view.close();
      proxy.closeAllConnections();
      proxy.close();
    }
  });
});

describe('everybody', () => {
  it('gets about with keys alone', () =>
    visit('/explore', async (page) => {
      await rowCount(page, TRACES);
      await page.keyboard.press('?');
      await page.getByRole('dialog').getByText('Run the query').waitFor();
      await page.keyboard.press('Escape');
      await page.keyboard.press('g');
      await page.keyboard.press('s');
      await page.getByRole('heading', { name: 'Status' }).waitFor();
      await page.keyboard.press('g');
      await page.keyboard.press('e');
      await rowCount(page, TRACES);
      await page.keyboard.press('t');
      await page.getByRole('dialog', { name: 'Time range' }).waitFor();
      await page.getByRole('button', { name: '1h', exact: true }).press('Enter');
      await until(() => params(page).get('from') === 'now-1h');
      await page.keyboard.press('d');
      await until(async () => (await page.locator('html').getAttribute('data-theme')) === 'dark');
      await page.locator('.results a.name').first().focus();
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('Enter');
      await page.getByRole('treegrid').waitFor();
    }));

  const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  const views: [string, string, string][] = [
    ['explore', '/explore', '.trace-row'],
    ['explore-query', '/explore?mode=query', '.trace-row'],
    ['trace', `/trace/${traceId(0)}?span=0000000000000004`, '.details .attributes'],
    ['compare', `/compare/${traceId(1)}...${traceId(0)}`, '.side'],
    ['mesh', '/mesh?view=graph', '.node'],
    ['mesh-list', '/mesh?view=list', 'tbody tr'],
    ['service', '/service/cart.shop', '.short-list li'],
    ['status', '/status', '.holders'],
  ];
  for (const theme of ['light', 'dark'] as const) {
    for (const [name, path, shown] of views) {
      it(`can use ${name}, ${theme}`, () =>
        visit(
          path,
          async (page) => {
            await page.locator(shown).first().waitFor();
            await picture(page, `${name}-${theme}`);
            // Evaluated over the debugging protocol, which the page's policy does not bind.
            await page.evaluate(axe);
            const found = await page.evaluate<AxeResult>('axe.run(document, { resultTypes: ["violations"] })');
            const serious = found.violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
            expect(serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).slice(0, 3).join(' ')}`)).toEqual([]);
          },
          { theme },
        ));
    }
  }

  for (const [name, path, shown] of views) {
    it(`can use ${name} at 400 px, without scrolling sideways`, () =>
      visit(
        path,
        async (page) => {
          await page.locator(shown).first().waitFor();
          await picture(page, `${name}-narrow`);
          const over = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
          expect(over).toBe(0);
        },
        { width: 400, height: 800 },
      ));
  }
});

interface AxeResult {
  violations: { id: string; impact: string | null; nodes: { html: string }[] }[];
}

describe('a trace of 100,000 spans', () => {
  const SPANS = 100_000;

  it('is scrolled, folded, searched and selected; how fast is printed', async () => {
    for (const batch of giant(Date.now(), SPANS, 5000)) await send(server, batch);
    await visit(`/trace/${GIANT}`, async (page) => {
      await page.locator('.span-row').first().waitFor({ timeout: 60_000 });
      await page.getByText('100,000', { exact: true }).first().waitFor();
      expect(await page.locator('.span-row').count()).toBeLessThan(120);
      const timed = async (what: string, act: string) => {
        const took = await page.evaluate(`(async () => {
          const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
          await frame();
          const began = performance.now();
          ${act};
          await frame();
          return performance.now() - began;
        })()`);
        console.log(`  ${what}: ${Number(took).toFixed(0)} ms`);
      };
      const rows = 'document.querySelector(".rows")';
      await timed('scroll to the middle', `${rows}.scrollTop = ${rows}.scrollHeight / 2`);
      await page.locator('.span-row[aria-rowindex="50000"]').waitFor();
      await timed('select a span', `document.querySelector('[aria-rowindex="50000"]').click()`);
      await page.getByRole('complementary', { name: 'Span details' }).waitFor();
      await timed('fold it', `document.querySelector('.span-row .fold:not(span)').click()`);
      await page.getByRole('button', { name: /^(Expand|Collapse) all$/ }).click();
      await page.getByRole('searchbox').or(page.getByRole('textbox', { name: 'Find in trace' })).fill('value-77777');
      await page.getByText(/of 1$/).waitFor();
      await page.keyboard.press('Enter');
      await until(async () => (await page.locator('.span-row.selected').count()) === 1);
      await page.getByRole('button', { name: 'Table', exact: true }).click();
      await page.getByRole('cell', { name: 'step 7', exact: false }).first().waitFor();
      await picture(page, 'giant');
    });
  });
});
