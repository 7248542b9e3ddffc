#!/usr/bin/env bash
# Checks the import walls between the crates (ARCHITECTURE.md) with `cargo tree`, normal dependencies only.
# Workspace crates: exactly the allowed ones. Others: base, model and traceql must not see the forbidden ones anywhere
# below them, the rest must not name them themselves.
set -euo pipefail
cd "$(dirname "$0")/.."

failures=0

fail() {
  echo "import wall: $1" >&2
  failures=$((failures + 1))
}

# tree CRATE DEPTH: names of its normal dependencies, one a line
tree() {
  cargo tree --quiet --locked --package "$1" --edges normal --depth "$2" --prefix none --format '{p}' |
    tail -n +2 | cut -d' ' -f1 | sort -u
}

# matches NAME PATTERN…: whether NAME is one of the shell patterns
matches() {
  local name=$1 pattern
  shift
  for pattern in "$@"; do
    # shellcheck disable=SC2053 # a pattern on purpose
    if [[ $name == $pattern ]]; then return 0; fi
  done
  return 1
}

# allows CRATE WORKSPACE_CRATE…: the workspace crates it may depend on
allows() {
  local crate=$1 names name
  shift
  names=$(tree "$crate" 1)
  for name in $names; do
    if [[ $name == vivace-* ]] && ! matches "${name#vivace-}" "$@"; then
      fail "$crate depends on $name; it may depend on: ${*:-no crate of the workspace}"
    fi
  done
}

# forbids CRATE DEPTH PATTERN…: other crates it must not see, down to that depth
forbids() {
  local crate=$1 depth=$2 names name
  shift 2
  names=$(tree "$crate" "$depth")
  for name in $names; do
    if matches "$name" "$@"; then
      fail "$crate must not see $name (cargo tree --package $crate --edges normal --invert $name)"
    fi
  done
}

anywhere=99
direct=1
runtime=(tokio 'tokio-*' hyper 'hyper-*' axum 'axum-*' tonic 'tonic-*' tower 'tower-*' reqwest)
wire=(prost 'prost-*' opentelemetry-proto)
columns=(arrow 'arrow-*' parquet 'parquet-*')
stores=(object_store)
http=(axum 'axum-*' tonic 'tonic-*' hyper 'hyper-*' tower 'tower-*' reqwest clap)

allows vivace-base
allows vivace-model base
allows vivace-traceql base
allows vivace-storage model base
allows vivace-ingest storage model base
allows vivace-query storage traceql model base
allows vivace-testkit model base
allows vivace-server ingest query storage traceql model base

forbids vivace-base $anywhere "${runtime[@]}" "${wire[@]}" "${columns[@]}" "${stores[@]}" serde_json clap
# arrow-schema is the one file that describes spans as columns, and builds nothing else
forbids vivace-model $anywhere "${runtime[@]}" "${wire[@]}" arrow 'arrow-[!s]*' arrow-select arrow-string 'parquet*' \
  "${stores[@]}" clap
forbids vivace-traceql $anywhere "${runtime[@]}" "${wire[@]}" "${columns[@]}" "${stores[@]}" clap
forbids vivace-storage $direct "${http[@]}" "${wire[@]}"
# its protobuf types come with tonic's code generator, so tonic may be below it
forbids vivace-ingest $direct "${http[@]}"
forbids vivace-query $direct "${http[@]}" "${wire[@]}"
forbids vivace-testkit $direct "${http[@]}" "${wire[@]}"

for crate in base model traceql storage ingest query server; do
  forbids "vivace-$crate" $anywhere vivace-testkit
done

if ((failures > 0)); then
  exit 1
fi
echo "import walls hold"
