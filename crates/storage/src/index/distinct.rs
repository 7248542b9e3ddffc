use arrow::array::Array;
use std::collections::HashSet;

use ahash::RandomState;

use crate::columns::TextColumn;

/// Every text that some row has, most of them once.
pub(crate) fn distinct_texts(texts: TextColumn<'_>) -> Box<dyn Iterator<Item = &str> + '_> {
    match texts {
        TextColumn::Plain(texts) => {
            Box::new(texts.iter().flatten().collect::<HashSet<_, RandomState>>().into_iter())
        }
        TextColumn::Coded { codes, texts } => {
            let mut used = vec![false; texts.len()];
            codes.iter().flatten().for_each(|code| used[code as usize] = true);
            Box::new((0..texts.len()).filter(move |code| used[*code]).map(|code| texts.value(code)))
        }
    }
}
