//! Drives the real `vivace` binary from outside: starts it on free ports, sends it spans, asks it questions, kills it.
//! `./test.sh` builds and installs what these tests need.

pub mod answers;
pub mod cases;
pub mod cgroup;
pub mod client;
pub mod exposition;
pub mod grpc;
pub mod kiali;
pub mod oracle;
pub mod otlp;
pub mod prometheus;
pub mod s3;
pub mod sdk;
pub mod server;
pub mod simulation;
pub mod spans;
pub mod traffic;
pub mod wild;

pub use cgroup::MemoryCgroup;
pub use client::{Client, Reply};
pub use otlp::{Compression, Encoding, Otlp};
pub use s3::{ForgetfulS3, S3};
pub use server::{Addresses, Server, ServerBuilder};
pub use spans::{FlatSpan, flatten};
pub use traffic::{SentTrace, Traffic};
