#!/usr/bin/env bash
# Runs every check and test, as CI does. Installs what they need on a Debian machine that has rustup's cargo; what it
# installs besides system packages goes under ~/.cache/vivace.
#
#   ./test.sh          everything
#   ./test.sh setup    only installs
#
# CARGO_TARGET_DIR is respected; by default it is ~/.cache/vivace/target.
set -euo pipefail
cd "$(dirname "$0")"

cache=$HOME/.cache/vivace
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-$cache/target}")
export CARGO_TARGET_DIR CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

s3_server=github.com/versity/versitygw/cmd/versitygw
s3_server_version=v1.8.0
cargo_deny_version=0.20.2

step() {
  printf '\n== %s\n' "$*"
}

fail() {
  echo "test.sh: $*" >&2
  exit 1
}

# as_root COMMAND…
as_root() {
  if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

install_system_packages() {
  local missing=()
  command -v cc >/dev/null || missing+=(gcc libc6-dev)
  command -v make >/dev/null || missing+=(make)
  command -v git >/dev/null || missing+=(git)
  command -v python3 >/dev/null || missing+=(python3)
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  command -v node >/dev/null || missing+=(nodejs)
  command -v npm >/dev/null || missing+=(npm)
  command -v chromium >/dev/null || missing+=(chromium)
  [[ -e /etc/ssl/certs/ca-certificates.crt ]] || missing+=(ca-certificates)
  if ((${#missing[@]} == 0)); then return; fi
  step "installing ${missing[*]}"
  command -v apt-get >/dev/null || fail "install these packages first: ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

install_rust() {
  command -v cargo >/dev/null || fail "install Rust with rustup first; rust-toolchain.toml names the version"
  # Under rustup this installs the pinned toolchain with its components, if they are missing.
  cargo fmt --version >/dev/null && cargo clippy --version >/dev/null ||
    fail "the toolchain of rust-toolchain.toml lacks rustfmt or clippy"
}

# The official OpenTelemetry SDK and gRPC library, with which end-to-end tests send spans and ask questions, and DuckDB, with
# which they read blocks.
install_sdk() {
  local venv=$cache/venv wanted=tests/sdk/requirements.txt
  if ! cmp -s "$wanted" "$venv/installed.txt"; then
    step "installing the OpenTelemetry SDK, gRPC and DuckDB for Python"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$wanted"
    cp "$wanted" "$venv/installed.txt"
  fi
  export VIVACE_SDK_PYTHON=$venv/bin/python VIVACE_REQUIRE_SDK=1
}

# An S3-compatible server with put-if-absent, which the storage tests use.
install_s3_server() {
  local server=$cache/bin/versitygw stamp=$cache/bin/versitygw.version
  if [[ ! -x $server || $(cat "$stamp" 2>/dev/null) != "$s3_server_version" ]]; then
    step "building the S3 server $s3_server_version"
    command -v go >/dev/null || fail "install Go first; the S3 server that tests use is built with it"
    mkdir -p "$cache/bin"
    GOBIN=$cache/bin go install -ldflags '-s -w' "$s3_server@$s3_server_version"
    echo "$s3_server_version" >"$stamp"
  fi
  export VIVACE_S3_SERVER=$server VIVACE_REQUIRE_S3=1
}

# Prometheus and its promtool from Debian's package, unpacked and not installed, so that no service starts.
install_prometheus() {
  local dir=$cache/prometheus
  if [[ ! -x $dir/usr/bin/promtool ]]; then
    step "unpacking Debian's Prometheus"
    command -v apt-get >/dev/null || fail "put prometheus and promtool into $dir/usr/bin first"
    rm -rf "$dir.new"
    mkdir -p "$dir.new"
    (
      cd "$dir.new"
      # Lists that are missing or old name no file that can be had.
      apt-get download -qq prometheus 2>/dev/null || { as_root apt-get update -qq && apt-get download -qq prometheus; }
      dpkg-deb -x prometheus_*.deb .
      rm prometheus_*.deb
    )
    mv "$dir.new" "$dir"
  fi
  export VIVACE_PROMETHEUS=$dir/usr/bin VIVACE_REQUIRE_PROMETHEUS=1
}

# Built without optimisation: it runs for seconds and an optimised build takes minutes.
install_cargo_deny() {
  if [[ $("$cache/bin/cargo-deny" --version 2>/dev/null) == "cargo-deny $cargo_deny_version" ]]; then return; fi
  step "building cargo-deny $cargo_deny_version"
  CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --profile dev --root "$cache" \
    --target-dir "$cache/cargo-deny-build" "cargo-deny@$cargo_deny_version"
  rm -rf "$cache/cargo-deny-build"
}

run_checks() {
  step "formatting"
  cargo fmt --all --check
  step "import walls"
  scripts/check-walls.sh
  step "licences, bans and sources of dependencies"
  "$cache/bin/cargo-deny" --locked --log-level error check licenses bans sources
  step "console: build, lint, types, unit tests"
  web/test.sh build
  web/test.sh checks
  step "clippy"
  cargo clippy --locked --workspace --all-targets -- -D warnings
}

run_tests() {
  step "building"
  # The same selection as the tests', so that dependencies are built once; it includes the binary they start.
  cargo build --locked --workspace --all-targets
  export VIVACE_BIN=$CARGO_TARGET_DIR/debug/vivace
  step "tests"
  cargo test --locked --workspace --no-fail-fast
  step "console in a browser"
  web/test.sh browser
}

install_system_packages
install_rust
install_sdk
install_s3_server
install_prometheus
install_cargo_deny
if [[ ${1:-} == setup ]]; then exit 0; fi
run_checks
run_tests
step "all checks and tests passed"
