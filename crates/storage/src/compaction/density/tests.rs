use vivace_model::schema::{AttributeScope, ValueType};

use super::*;
use crate::columns::SpanBatchBuilder;
use crate::columns::tests::rich_span;

fn column(key: &str) -> AttributeColumn {
    AttributeColumn { scope: AttributeScope::Span, key: key.to_owned(), value_type: ValueType::String }
}

#[test]
fn a_column_stays_down_to_half_of_what_makes_one() {
    let mut densities = Densities { rows: 10_000, ..Densities::default() };
    for (key, rows, had) in [("new", 100, false), ("rare", 99, false), ("kept", 50, true), ("gone", 49, true)]
    {
        densities.counted.insert(column(key), rows);
        if had {
            densities.had.insert(column(key));
        }
    }
    assert_eq!(densities.choose(), [column("kept"), column("new")]);
}

#[test]
fn lists_are_counted_in_bounded_memory() {
    let mut densities = Densities::default();
    let mut rows = 0;
    while densities.counted.len() < limits::COMPACTION_COUNTED_ATTRIBUTES / 2 || rows < 20_000 {
        let mut builder = SpanBatchBuilder::default();
        for _ in 0..2_000 {
            let mut span = rich_span(1);
            span.attributes
                .extend((0..5).map(|n| vivace_model::Attribute::new(format!("once-{rows}-{n}"), "x")));
            builder.push(&span);
            rows += 1;
        }
        densities.add_lists(&builder.finish()).expect("layout");
        assert!(densities.counted.len() <= limits::COMPACTION_COUNTED_ATTRIBUTES);
    }
    let names: Vec<_> = densities.choose().iter().map(AttributeColumn::column_name).collect();
    assert!(names.contains(&"span.a1:str".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("once")), "{names:?}");
}
