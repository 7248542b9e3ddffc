use super::wire::{Reader, Result};

/// How many spans a binary request has, as far as it is well-formed. Looks into nothing but the lists they are in.
pub fn count_spans(body: &[u8]) -> u64 {
    let mut spans = 0;
    // What is wrong with the rest is told when the request is decoded.
    let _ = each(Reader::new(body), 1, |resource| {
        each(resource, 2, |scope| {
            each(scope, 2, |_| {
                spans += 1;
                Ok(())
            })
        })
    });
    spans
}

/// Visits the messages in a field.
fn each<'a>(
    mut message: Reader<'a>,
    field: u32,
    mut visit: impl FnMut(Reader<'a>) -> Result<()>,
) -> Result<()> {
    while let Some(tag) = message.next()? {
        if tag.field == field { visit(message.message(tag)?)? } else { message.skip(tag)? }
    }
    Ok(())
}
