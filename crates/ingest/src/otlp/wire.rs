//! Protobuf's wire format, as far as OTLP needs it: borrowed slices, no messages. What prost accepts is accepted, what it
//! refuses is refused; only values that are too deep are not looked into.

/// How deeply messages may nest, the request not counted; prost's limit.
pub(super) const MAX_DEPTH: u32 = 100;

/// What is wrong with a message and where.
#[derive(Debug)]
pub(super) struct Malformed {
    problem: &'static str,
    /// Address of the byte at which it was noticed.
    at: usize,
    /// Fields from the inside out.
    path: Vec<(&'static str, Option<usize>)>,
}

pub(super) type Result<T> = std::result::Result<T, Box<Malformed>>;

impl Malformed {
    #[cold]
    fn new(problem: &'static str, at: &[u8]) -> Box<Self> {
        Box::new(Self { problem, at: at.as_ptr().addr(), path: Vec::new() })
    }

    /// In words; `body` is the whole request.
    pub(super) fn describe(&self, body: &[u8]) -> String {
        let mut path = String::from("ExportTraceServiceRequest");
        for (field, index) in self.path.iter().rev() {
            path.push('.');
            path.push_str(field);
            if let Some(index) = index {
                path.push_str(&format!("[{index}]"));
            }
        }
        format!("{path}: {} at byte {}", self.problem, self.at.saturating_sub(body.as_ptr().addr()))
    }
}

/// Says in which field an error is.
pub(super) trait Within {
    fn field(self, name: &'static str) -> Self;
    fn item(self, name: &'static str, index: usize) -> Self;
}

impl<T> Within for Result<T> {
    #[inline]
    fn field(self, name: &'static str) -> Self {
        self.map_err(|error| within(error, name, None))
    }

    #[inline]
    fn item(self, name: &'static str, index: usize) -> Self {
        self.map_err(|error| within(error, name, Some(index)))
    }
}

#[cold]
fn within(mut error: Box<Malformed>, name: &'static str, index: Option<usize>) -> Box<Malformed> {
    error.path.push((name, index));
    error
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireType {
    Varint,
    Fixed64,
    Bytes,
    StartGroup,
    EndGroup,
    Fixed32,
}

/// A field's number and how its value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) field: u32,
    wire_type: WireType,
}

/// Reads the fields of one message.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// How many levels of messages may follow below this one.
    depth: u32,
}

impl<'a> Reader<'a> {
    /// Of a whole request.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, depth: MAX_DEPTH }
    }

    /// The next field's tag; [`None`] at the end of the message.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Tag>> {
        if self.rest.is_empty() { Ok(None) } else { self.tag().map(Some) }
    }

    #[inline]
    fn tag(&mut self) -> Result<Tag> {
        let start = self.rest;
        let key = self.varint()?;
        let field =
            u32::try_from(key).map_err(|_| Malformed::new("a field number that is too large", start))? >> 3;
        let wire_type = match key & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Bytes,
            3 => WireType::StartGroup,
            4 => WireType::EndGroup,
            5 => WireType::Fixed32,
            _ => return Err(Malformed::new("an unknown wire type", start)),
        };
        if field == 0 {
            return Err(Malformed::new("field number 0", start));
        }
        Ok(Tag { field, wire_type })
    }

    #[inline]
    fn varint(&mut self) -> Result<u64> {
        if let [byte, rest @ ..] = self.rest
            && *byte < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for (at, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                if at == 9 && *byte > 1 {
                    break;
                }
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(Malformed::new("a number that is cut off or too long", self.rest))
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let (taken, rest) = split.ok_or_else(|| Malformed::new("the value is cut off", self.rest))?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn expect(&self, tag: Tag, wire_type: WireType) -> Result<()> {
        if tag.wire_type == wire_type {
            Ok(())
        } else {
            Err(Malformed::new("the wrong wire type", self.rest))
        }
    }

    #[inline]
    pub(super) fn number(&mut self, tag: Tag) -> Result<u64> {
        self.expect(tag, WireType::Varint)?;
        self.varint()
    }

    /// An `uint32`; higher bits are cut off.
    #[inline]
    pub(super) fn small_number(&mut self, tag: Tag) -> Result<u32> {
        Ok(self.number(tag)? as u32)
    }

    /// An `int32` or an enumeration's number; higher bits are cut off.
    #[inline]
    pub(super) fn code(&mut self, tag: Tag) -> Result<i32> {
        Ok(self.small_number(tag)?.cast_signed())
    }

    #[inline]
    pub(super) fn fixed64(&mut self, tag: Tag) -> Result<u64> {
        self.expect(tag, WireType::Fixed64)?;
        Ok(self.take(8)?.try_into().map(u64::from_le_bytes).unwrap_or_default())
    }

    #[inline]
    pub(super) fn fixed32(&mut self, tag: Tag) -> Result<u32> {
        self.expect(tag, WireType::Fixed32)?;
        Ok(self.take(4)?.try_into().map(u32::from_le_bytes).unwrap_or_default())
    }

    #[inline]
    pub(super) fn bytes(&mut self, tag: Tag) -> Result<&'a [u8]> {
        self.expect(tag, WireType::Bytes)?;
        let length = self.varint()?;
        self.take(length)
    }

    #[inline]
    pub(super) fn text(&mut self, tag: Tag) -> Result<&'a str> {
        let bytes = self.bytes(tag)?;
        std::str::from_utf8(bytes).map_err(|_| Malformed::new("text that is not UTF-8", bytes))
    }

    #[inline]
    pub(super) fn message(&mut self, tag: Tag) -> Result<Reader<'a>> {
        self.expect(tag, WireType::Bytes)?;
        let depth = self
            .depth
            .checked_sub(1)
            .ok_or_else(|| Malformed::new("messages nested too deeply", self.rest))?;
        Ok(Reader { rest: self.bytes(tag)?, depth })
    }

    /// How many bytes are left.
    #[cfg(test)]
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Passes over a field of no interest.
    #[inline]
    pub(super) fn skip(&mut self, tag: Tag) -> Result<()> {
        self.skip_at(tag, self.depth)
    }

    fn skip_at(&mut self, tag: Tag, depth: u32) -> Result<()> {
        let deeper =
            depth.checked_sub(1).ok_or_else(|| Malformed::new("groups nested too deeply", self.rest))?;
        match tag.wire_type {
            WireType::Varint => self.varint().map(drop),
            WireType::Fixed64 => self.take(8).map(drop),
            WireType::Fixed32 => self.take(4).map(drop),
            WireType::Bytes => {
                let length = self.varint()?;
                self.take(length).map(drop)
            }
            WireType::StartGroup => loop {
                let inner = self.tag()?;
                match inner.wire_type {
                    WireType::EndGroup if inner.field == tag.field => return Ok(()),
                    WireType::EndGroup => return Err(Malformed::new("the end of another group", self.rest)),
                    _ => self.skip_at(inner, deeper)?,
                }
            },
            WireType::EndGroup => Err(Malformed::new("the end of a group that did not begin", self.rest)),
        }
    }
}
