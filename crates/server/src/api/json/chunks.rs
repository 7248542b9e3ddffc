use bytes::Bytes;

/// Text is handed on when this much has gathered.
const CHUNK_BYTES: usize = 24 << 10;
/// Room for that and for most last pieces, so that text is rarely moved.
const CHUNK_CAPACITY: usize = 32 << 10;

/// Something that is written in pieces.
pub(super) trait Pieces {
    /// Appends the next piece; false when there is none.
    fn write_next(&mut self, out: &mut String) -> bool;
}

/// Gathers pieces into chunks for the network.
#[derive(Debug)]
pub(super) struct Chunks<P> {
    pieces: P,
}

impl<P: Pieces> Chunks<P> {
    pub(super) fn new(pieces: P) -> Self {
        Self { pieces }
    }
}

impl<P: Pieces> Iterator for Chunks<P> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut text = String::with_capacity(CHUNK_CAPACITY);
        while text.len() < CHUNK_BYTES && self.pieces.write_next(&mut text) {}
        (!text.is_empty()).then(|| Bytes::from(text))
    }
}
