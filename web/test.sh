#!/usr/bin/env bash
# Checks the console: that what is committed is what its sources build, lint, types, unit tests, and the views in a
# browser against the real server.
#
#   web/test.sh build     only that web/dist is what the sources build; needs no server
#   web/test.sh checks    lint, types and unit tests
#   web/test.sh browser   in a browser; VIVACE_BIN names the server binary
set -euo pipefail
cd "$(dirname "$0")"

install() {
  local stamp=node_modules/.installed
  if cmp -s package-lock.json "$stamp"; then return; fi
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json "$stamp"
}

build() {
  local made
  made=$(mktemp -d)
  # shellcheck disable=SC2064 # the folder is known now
  trap "rm -rf '$made'" EXIT
  npx vite build --logLevel warn --outDir "$made" --emptyOutDir
  if ! diff -r "$made" dist; then
    echo "web/dist is stale: run 'npm run build' in web/ and commit it" >&2
    exit 1
  fi
}

checks() {
  npx tsc --noEmit
  npx eslint .
  npx vitest run
}

browser() {
  npx vitest run --config vitest.browser.config.ts
}

install
case ${1:-all} in
  build | checks | browser) "$1" ;;
  all)
    build
    checks
    browser
    ;;
  *)
    echo "usage: web/test.sh [build|checks|browser]" >&2
    exit 2
    ;;
esac
