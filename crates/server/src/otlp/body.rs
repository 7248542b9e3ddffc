use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tonic::Code;
use vivace_base::{ByteSize, ErrorKind, Holder, MemoryBudget, Reservation};
use zstd::stream::{raw, zio};

use super::Refusal;

/// Memory that a binary request of one byte needs until its spans are in the head: the bytes, and columns under
/// construction, whose buffers have room to spare.
pub(super) const PROTOBUF_MEMORY: u64 = 4;
/// The same for JSON, which becomes messages first.
pub(super) const JSON_MEMORY: u64 = 6;
/// One request gets at most one part in so many of the memory limit: what needs more would wait for room for ever.
const LARGEST_PART: u64 = 2;
/// Longest silence of a client in the middle of a body.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Of a refused body this much is read and thrown away, for this long: a client that is still sending when the
/// connection closes sees that, and not the answer.
const MAX_DRAINED: u64 = 32 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
    /// What HTTP calls `deflate` and OTLP receivers also know as `zlib`.
    Zlib,
}

impl Encoding {
    /// The encoding of this name; [`None`] for one that is not supported.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            "zlib" | "deflate" => Some(Self::Zlib),
            _ => None,
        }
    }
}

/// How large a body may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// As received.
    pub(super) wire: ByteSize,
    /// After decompression.
    pub(super) decompressed: ByteSize,
    /// Memory that a byte after decompression takes until its spans are in the head.
    pub(super) memory_per_byte: u64,
}

/// A body, and the memory it and its decoding are accounted for.
#[derive(Debug)]
pub(super) struct Payload {
    pub(super) bytes: Bytes,
    /// Bytes as received.
    pub(super) received: u64,
    pub(super) reservation: Reservation,
}

/// A body that is being received.
#[derive(Debug)]
pub(super) struct Incoming {
    body: Body,
    /// Received, but not yet asked for.
    pending: Bytes,
    received: u64,
    limit: ByteSize,
}

impl Incoming {
    pub(super) fn new(body: Body, limit: ByteSize) -> Self {
        Self { body, pending: Bytes::new(), received: 0, limit }
    }

    /// The next bytes; [`None`] at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        if !self.pending.is_empty() {
            return Ok(Some(std::mem::take(&mut self.pending)));
        }
        loop {
            let frame = tokio::time::timeout(READ_TIMEOUT, self.body.frame()).await;
            let frame =
                frame.map_err(|_| Refusal::new(ErrorKind::DeadlineExceeded, "the body stopped arriving"))?;
            let Some(frame) = frame else { return Ok(None) };
            let broken = |error| Refusal::new(ErrorKind::Cancelled, format!("the body broke off: {error}"));
            // Anything but data is trailers, which say nothing here.
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            self.received += data.len() as u64;
            if self.received > self.limit.bytes() {
                return Err(too_large("as received", self.limit));
            }
            return Ok(Some(data));
        }
    }

    /// The first `length` bytes. The rest of what came with them is read next.
    pub(super) async fn exactly(&mut self, length: usize) -> Result<Bytes, Refusal> {
        let mut head = BytesMut::new();
        while head.len() < length {
            let chunk = self.next().await?;
            let missing = || format!("the body ends after {} bytes; at least {length} expected", head.len());
            let chunk = chunk.ok_or_else(|| Refusal::new(ErrorKind::InvalidInput, missing()))?;
            head.extend_from_slice(&chunk);
        }
        self.pending = head.split_off(length).freeze();
        Ok(head.freeze())
    }

    /// The whole body, decompressed. Memory is reserved as it arrives; a body whose declared length has no room is not
    /// read. What is left of a refused body is read and thrown away first, within limits.
    pub(super) async fn read(
        mut self,
        encoding: Encoding,
        declared: Option<u64>,
        sizes: Sizes,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Payload, Refusal> {
        let read = self.read_all(encoding, declared, sizes, budget).await;
        // A client that has stopped sending reads already.
        if read.as_ref().is_err_and(|refusal| refusal.code != Code::DeadlineExceeded) {
            self.drain().await;
        }
        read
    }

    async fn drain(&mut self) {
        let mut drained = 0;
        let rest = async {
            while let Some(Ok(frame)) = self.body.frame().await
                && drained < MAX_DRAINED
            {
                drained += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
        };
        // A client that is slower than that has had its chance.
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, rest).await;
    }

    async fn read_all(
        &mut self,
        encoding: Encoding,
        declared: Option<u64>,
        sizes: Sizes,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Payload, Refusal> {
        if declared.is_some_and(|bytes| bytes > sizes.wire.bytes()) {
            return Err(too_large("as received", sizes.wire));
        }
        let mut sink = Sink::new(sizes, budget)?;
        sink.expect(declared.unwrap_or_default())?;
        // Memory is held for what has arrived: who declares much and sends nothing keeps it from nobody.
        sink.reservation.resize(0)?;
        let mut decoder = Decoder::new(encoding, sink).map_err(|error| malformed(encoding, &error))?;
        while let Some(chunk) = self.next().await? {
            decoder.write(&chunk).map_err(|error| decoder.explain(encoding, &error))?;
        }
        let sink = decoder.finish(encoding)?;
        Ok(Payload { bytes: sink.bytes.into(), received: self.received, reservation: sink.reservation })
    }
}

fn too_large(what: &str, limit: ByteSize) -> Refusal {
    let message = format!("the request is larger than the {limit} allowed {what}; send smaller batches");
    Refusal::new(ErrorKind::TooLarge, message)
}

fn malformed(encoding: Encoding, error: &io::Error) -> Refusal {
    Refusal::new(ErrorKind::InvalidInput, format!("cannot decompress the body as {encoding:?}: {error}"))
}

/// Collects the decompressed body, never past its limit or its reservation.
#[derive(Debug)]
struct Sink {
    bytes: Vec<u8>,
    sizes: Sizes,
    budget: Arc<MemoryBudget>,
    reservation: Reservation,
    refused: Option<Refusal>,
}

impl Sink {
    fn new(sizes: Sizes, budget: &Arc<MemoryBudget>) -> Result<Self, Refusal> {
        let reservation = budget.reserve(Holder::Decode, 0)?;
        Ok(Self { bytes: Vec::new(), sizes, budget: Arc::clone(budget), reservation, refused: None })
    }

    /// Makes sure of memory for a body of `length` bytes.
    fn expect(&mut self, length: u64) -> Result<(), Refusal> {
        let needed = length.saturating_mul(self.sizes.memory_per_byte);
        if needed > self.budget.limit().bytes() / LARGEST_PART {
            let limit = self.budget.limit();
            let message =
                format!("{length} bytes are too many for a memory limit of {limit}; send smaller batches");
            return Err(Refusal::new(ErrorKind::TooLarge, message));
        }
        if needed > self.reservation.bytes() {
            self.reservation.resize(needed)?;
        }
        Ok(())
    }

    fn admit(&mut self, more: usize) -> Result<(), Refusal> {
        let length = (self.bytes.len() + more) as u64;
        if length > self.sizes.decompressed.bytes() {
            return Err(too_large("after decompression", self.sizes.decompressed));
        }
        self.expect(length)
    }
}

impl Write for Sink {
    fn write(&mut self, chunk: &[u8]) -> io::Result<usize> {
        if let Err(refusal) = self.admit(chunk.len()) {
            self.refused = Some(refusal);
            return Err(io::Error::other("refused"));
        }
        self.bytes.extend_from_slice(chunk);
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Decoder {
    Identity(Sink),
    Gzip(flate2::write::MultiGzDecoder<Sink>),
    Zlib(flate2::write::ZlibDecoder<Sink>),
    Zstd(Box<zio::Writer<Sink, raw::Decoder<'static>>>),
}

/// Largest window a zstd frame may ask the decoder to keep, as a power of two: 8 MiB, what every decoder must accept.
const ZSTD_WINDOW_LOG: u32 = 23;

impl Decoder {
    fn new(encoding: Encoding, sink: Sink) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::Identity => Self::Identity(sink),
            Encoding::Gzip => Self::Gzip(flate2::write::MultiGzDecoder::new(sink)),
            Encoding::Zlib => Self::Zlib(flate2::write::ZlibDecoder::new(sink)),
            Encoding::Zstd => {
                let mut decoder = raw::Decoder::new()?;
                decoder.set_parameter(raw::DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
                Self::Zstd(Box::new(zio::Writer::new(sink, decoder)))
            }
        })
    }

    fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        match self {
            Self::Identity(sink) => sink.write_all(chunk),
            Self::Gzip(decoder) => decoder.write_all(chunk),
            Self::Zlib(decoder) => decoder.write_all(chunk),
            Self::Zstd(decoder) => decoder.write_all(chunk),
        }
    }

    fn sink(&mut self) -> &mut Sink {
        match self {
            Self::Identity(sink) => sink,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zlib(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.writer_mut(),
        }
    }

    /// The refusal behind an error of the decoder.
    fn explain(&mut self, encoding: Encoding, error: &io::Error) -> Refusal {
        self.sink().refused.take().unwrap_or_else(|| malformed(encoding, error))
    }

    fn finish(mut self, encoding: Encoding) -> Result<Sink, Refusal> {
        let finished = match &mut self {
            Self::Identity(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zlib(decoder) => decoder.try_finish(),
            Self::Zstd(decoder) => decoder.finish(),
        };
        if let Err(error) = finished {
            return Err(self.explain(encoding, &error));
        }
        match self {
            Self::Identity(sink) => Ok(sink),
            Self::Gzip(decoder) => decoder.finish().map_err(|error| malformed(encoding, &error)),
            Self::Zlib(decoder) => decoder.finish().map_err(|error| malformed(encoding, &error)),
            Self::Zstd(decoder) => Ok(decoder.into_inner().0),
        }
    }
}
