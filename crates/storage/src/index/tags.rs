//! The section of tags: every attribute key of the block, and the values of those that have few.

use std::ops::Range;

use bytes::{Buf, BufMut};
use vivace_model::schema::AttributeScope;

use super::format::{ChunkRef, SectionBytes, get_reference, pack, put_reference, to_u32};
use crate::{BlockError, limits};

/// Kind of this section.
pub(super) const KIND: u32 = 1;
/// In place of a page: the values are too many to be listed.
const MANY: u32 = u32::MAX;

/// Where an indexed key stands; discriminants are the format's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexScope {
    /// What every span has by nature; the keys are [`super::intrinsics`].
    Intrinsic = 0,
    /// Resource attributes.
    Resource = 1,
    /// Span attributes.
    Span = 2,
    /// Instrumentation scope attributes.
    Instrumentation = 3,
    /// Event attributes.
    Event = 4,
    /// Link attributes.
    Link = 5,
}

impl IndexScope {
    const ALL: [IndexScope; 6] =
        [Self::Intrinsic, Self::Resource, Self::Span, Self::Instrumentation, Self::Event, Self::Link];

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| *scope as u8 == code)
    }
}

impl From<AttributeScope> for IndexScope {
    fn from(scope: AttributeScope) -> Self {
        match scope {
            AttributeScope::Span => Self::Span,
            AttributeScope::Resource => Self::Resource,
            AttributeScope::Instrumentation => Self::Instrumentation,
        }
    }
}

/// A key to write.
pub(super) struct Field {
    pub(super) scope: IndexScope,
    pub(super) key: Box<str>,
    /// Type code and text, sorted; [`None`] when there are too many.
    pub(super) values: Option<Vec<(u8, Box<str>)>>,
}

/// A key as read.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) scope: IndexScope,
    /// In the root chunk.
    pub(super) key: Range<usize>,
    /// Page, and where in it the list begins; [`None`] when there are too many values.
    pub(super) values: Option<(usize, usize)>,
}

/// Lists are packed into pages from the shortest to the longest, so that a small read finds most of them.
pub(super) fn encode(mut fields: Vec<Field>) -> Result<SectionBytes, BlockError> {
    fields.sort_by_cached_key(|field| {
        let length = field.values.as_deref().map_or(usize::MAX, list_bytes);
        (length, field.scope, field.key.clone())
    });
    let (mut pages, mut rest, mut page) = (Vec::new(), Vec::new(), Vec::new());
    let mut entries = Vec::new();
    entries.put_u32_le(to_u32(fields.len())?);
    for field in &fields {
        if page.len() >= limits::INDEX_PAGE {
            pages.push(pack(&page, rest.len(), &mut rest)?);
            page.clear();
        }
        entries.put_u8(field.scope as u8);
        put_text(&mut entries, &field.key)?;
        match &field.values {
            Some(_) => entries.put_u32_le(to_u32(pages.len())?),
            None => entries.put_u32_le(MANY),
        }
        entries.put_u32_le(to_u32(page.len())?);
        if let Some(values) = &field.values {
            put_list(&mut page, values)?;
        }
    }
    if !page.is_empty() {
        pages.push(pack(&page, rest.len(), &mut rest)?);
    }
    let mut root = Vec::new();
    root.put_u32_le(to_u32(pages.len())?);
    pages.into_iter().for_each(|page| put_reference(&mut root, page));
    root.append(&mut entries);
    Ok(SectionBytes { kind: KIND, root, rest })
}

fn list_bytes(values: &[(u8, Box<str>)]) -> usize {
    4 + values.iter().map(|(_, text)| 1 + 4 + text.len()).sum::<usize>()
}

fn put_list(page: &mut Vec<u8>, values: &[(u8, Box<str>)]) -> Result<(), BlockError> {
    page.put_u32_le(to_u32(values.len())?);
    for (code, text) in values {
        page.put_u8(*code);
        put_text(page, text)?;
    }
    Ok(())
}

fn put_text(out: &mut Vec<u8>, text: &str) -> Result<(), BlockError> {
    out.put_u32_le(to_u32(text.len())?);
    out.put_slice(text.as_bytes());
    Ok(())
}

/// Pages and keys of the root chunk; [`None`] when it is not one.
pub(super) fn decode(root: &[u8]) -> Option<(Vec<ChunkRef>, Vec<Entry>)> {
    let mut rest = root;
    let pages = rest.try_get_u32_le().ok()?;
    let pages: Vec<_> = (0..pages).map(|_| get_reference(&mut rest)).collect::<Option<_>>()?;
    let fields = rest.try_get_u32_le().ok()?;
    let entry = |_| {
        let scope = IndexScope::from_code(rest.try_get_u8().ok()?)?;
        let key = get_text(root, &mut rest)?;
        let (page, at) = (rest.try_get_u32_le().ok()?, rest.try_get_u32_le().ok()?);
        Some(Entry { scope, key, values: (page != MANY).then_some((page as usize, at as usize)) })
    };
    let entries = (0..fields).map(entry).collect::<Option<_>>()?;
    Some((pages, entries))
}

/// Type code and place of each value of the list that begins at `at`; [`None`] when there is none.
pub(super) fn decode_list(page: &[u8], at: usize) -> Option<Vec<(i8, Range<usize>)>> {
    let mut rest = page.get(at..)?;
    let count = rest.try_get_u32_le().ok()?;
    let value = |_| Some((rest.try_get_i8().ok()?, get_text(page, &mut rest)?));
    (0..count).map(value).collect()
}

/// Where the text that begins at `rest`, a tail of `whole`, stands.
fn get_text(whole: &[u8], rest: &mut &[u8]) -> Option<Range<usize>> {
    let length = rest.try_get_u32_le().ok()? as usize;
    let start = whole.len() - rest.len();
    let (text, tail) = rest.split_at_checked(length)?;
    std::str::from_utf8(text).ok()?;
    *rest = tail;
    Some(start..start + length)
}
