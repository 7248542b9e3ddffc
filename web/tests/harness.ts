// The real server with deterministic data, and a browser that looks at it.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type Browser, type Page, chromium } from 'playwright-core';

import { mesh } from './data';

const SCREENSHOTS = join(import.meta.dirname, '..', 'screenshots');

export interface Server {
  url: string;
  otlp: string;
  stop: () => Promise<void>;
}

/** A server of its own on free ports, with what `flags` say. */
export async function startServer(...flags: string[]): Promise<Server> {
  const binary = process.env['VIVACE_BIN'];
  if (!binary) throw new Error('VIVACE_BIN must name the server binary');
  const folder = mkdtempSync(join(tmpdir(), 'vivace-console-'));
  const addresses = join(folder, 'addresses.json');
  const listen = ['http', 'grpc', 'otlp-grpc', 'otlp-http'].map((name) => `--${name}-listen=127.0.0.1:0`);
  const options = ['serve', `--data-dir=${folder}/data`, `--addresses-file=${addresses}`, '--log-level=warn', ...listen, ...flags];
  const server = spawn(binary, options, { stdio: ['ignore', 'inherit', 'inherit'] });
  await until(() => existsSync(addresses) || server.exitCode !== null);
  if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}`);
  const { http, otlp_http: otlp } = JSON.parse(readFileSync(addresses, 'utf8')) as { http: string; otlp_http: string };
  const url = `http://${http}`;
  await until(async () => (await fetch(`${url}/ready`).catch(() => undefined))?.ok ?? false);
  return { url, otlp: `http://${otlp}`, stop: () => stop(server, folder) };
}

async function stop(server: ChildProcess, folder: string): Promise<void> {
  const ended = new Promise((done) => server.once('exit', done));
  server.kill('SIGTERM');
  await ended;
  rmSync(folder, { recursive: true, force: true });
}

/** Waits for something that happens elsewhere. */
export async function until(check: () => boolean | Promise<boolean>, seconds = 20): Promise<void> {
  for (const end = Date.now() + seconds * 1e3; Date.now() < end; ) {
    if (await check()) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`not within ${seconds} s: ${check.toString()}`);
}

export async function send(server: Server, body: unknown, headers: Record<string, string> = {}): Promise<void> {
  const response = await fetch(`${server.otlp}/v1/traces`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`the server did not take spans: ${response.status} ${await response.text()}`);
}

/** A server with the small mesh of `data.ts`, which ended just now. */
export async function startMesh(): Promise<Server> {
  const server = await startServer();
  await send(server, mesh(Date.now()));
  return server;
}

export function startBrowser(): Promise<Browser> {
  const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
  return chromium.launch({ executablePath, args: ['--no-sandbox'] });
}

export interface View {
  page: Page;
  /** What went wrong: errors of scripts, and what the policy forbade. */
  faults: string[];
  close: () => Promise<void>;
}

export interface Look {
  width?: number;
  height?: number;
  theme?: 'light' | 'dark';
}

export async function open(browser: Browser, address: string, look: Look = {}): Promise<View> {
  const { width = 1280, height = 860, theme = 'light' } = look;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) =>
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`),
    );
  });
  await page.goto(address);
  return { page, faults, close: () => context.close() };
}

/** A picture for who reviews; not compared with anything. */
export async function picture(page: Page, name: string): Promise<void> {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}
