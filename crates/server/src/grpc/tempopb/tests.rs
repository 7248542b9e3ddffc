//! Makes `proto/generated` anew and compares. With `VIVACE_BLESS=1` the files are written instead.

use std::path::{Path, PathBuf};

use protox::Compiler;
use protox::prost::Message;

fn proto() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("proto")
}

fn compiled(source_info: bool) -> Compiler {
    let mut compiler = Compiler::new([proto()]).unwrap();
    compiler.include_imports(true).include_source_info(source_info);
    compiler.open_file("tempopb/tempo.proto").unwrap();
    compiler
}

fn code() -> Vec<u8> {
    let out = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .out_dir(out.path())
        .client_mod_attribute(".", "#[cfg(test)]")
        .extern_path(".tempopb.common.v1", "::opentelemetry_proto::tonic::common::v1")
        .extern_path(".tempopb.resource.v1", "::opentelemetry_proto::tonic::resource::v1")
        .extern_path(".tempopb.trace.v1", "::opentelemetry_proto::tonic::trace::v1")
        .btree_map(".")
        .compile_fds(compiled(true).file_descriptor_set())
        .unwrap();
    std::fs::read(out.path().join("tempopb.rs")).unwrap()
}

fn check(name: &str, wanted: &[u8]) {
    let path = proto().join("generated").join(name);
    if std::env::var_os("VIVACE_BLESS").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let same = std::fs::read(&path).is_ok_and(|found| found == wanted);
    assert!(same, "{} is not what proto/tempopb makes: run this test with VIVACE_BLESS=1", path.display());
}

#[test]
fn what_is_checked_in_is_made_from_the_protos() {
    check("tempopb.rs", &code());
    check("tempopb.bin", &compiled(false).file_descriptor_set().encode_to_vec());
}
