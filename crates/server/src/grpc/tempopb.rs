//! The messages and the service of `proto/tempopb`. What is included here is made from them by the test below, so that
//! no build of the program needs a protobuf compiler.

#![allow(dead_code, missing_docs, unreachable_pub, clippy::all)]

include!("../../proto/generated/tempopb.rs");

/// The same for server reflection: `google.protobuf.FileDescriptorSet`, binary.
pub(super) const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("../../proto/generated/tempopb.bin");

#[cfg(test)]
mod tests;
