//! Runs Python with the official OpenTelemetry SDK and gRPC.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

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
    run_with_input(script, arguments, "")
}

/// The same, for a script that reads all of `input`.
pub fn run_with_input(script: &str, arguments: &[&str], input: &str) -> Option<String> {
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
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("Python can be run");
    // A script that reads nothing may end before; what it printed says why.
    let mut stdin = child.stdin.take().expect("the input is a pipe");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("Python ends");
    let _ = writer.join();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed: {}\n{errors}", output.status);
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
