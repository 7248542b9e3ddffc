//! Runs the official OpenTelemetry SDK of Python.

use std::path::PathBuf;
use std::process::Command;

/// Python with the SDK, made by `./test.sh`.
fn python() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("VIVACE_SDK_PYTHON") {
        return Some(path.into());
    }
    let installed = PathBuf::from(std::env::var_os("HOME")?).join(".cache/vivace/venv/bin/python");
    installed.exists().then_some(installed)
}

/// Runs a script of `tests/sdk` and returns what it prints. [`None`], with the reason printed, when there is no SDK;
/// with `VIVACE_REQUIRE_SDK=1` that fails the test.
pub fn run(script: &str, arguments: &[&str]) -> Option<String> {
    let Some(python) = python() else {
        let required = std::env::var("VIVACE_REQUIRE_SDK").is_ok_and(|value| value == "1");
        assert!(!required, "no OpenTelemetry SDK for Python although VIVACE_REQUIRE_SDK=1");
        eprintln!("SKIPPED: no OpenTelemetry SDK for Python is installed; ./test.sh installs it");
        return None;
    };
    let mut command = Command::new(python);
    command.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sdk").join(script)).args(arguments);
    for (name, _) in std::env::vars() {
        if name.starts_with("OTEL_") || name.to_lowercase().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    let output = command.output().expect("Python can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed: {}\n{errors}", output.status);
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
