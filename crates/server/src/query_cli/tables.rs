use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, Color, ColumnConstraint, Row, Table};

use super::answer::{SearchAnswer, SearchHit, TagNamesAnswer, TagValuesAnswer};
use super::terminal::{Terminal, printable};
use super::time::{duration_text, utc_text};

/// The traces a search found, in the server's order.
pub(crate) fn search_table(answer: &SearchAnswer, terminal: &Terminal) -> String {
    let header =
        ["Trace", "Started (UTC)", "Root service", "Root name", "Duration", "Matched", "Spans", "Errors"];
    let mut table = terminal.table(&header);
    for (index, column) in table.column_iter_mut().enumerate() {
        // ids are there to be copied: names give way on a narrow terminal
        if !matches!(index, 2 | 3) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if index >= 4 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.set_truncation_indicator(if terminal.unicode { "…" } else { ".." });
    for hit in &answer.traces {
        let mut row = Row::from(row(hit, terminal));
        row.max_height(1);
        table.add_row(row);
    }
    let mut text = lines(&table);
    let matched: u64 = answer.traces.iter().map(SearchHit::matched).sum();
    let traces = count(answer.traces.len() as u64, "trace");
    let _ = writeln!(text, "{traces}, {} matched", count(matched, "span"));
    text
}

fn row(hit: &SearchHit, terminal: &Terminal) -> Vec<Cell> {
    let spans: u64 = hit.service_stats.values().map(|stats| stats.span_count).sum();
    let errors: u64 = hit.service_stats.values().map(|stats| stats.error_count).sum();
    // servers that count nothing per service say nothing
    let known = |number: u64| if hit.service_stats.is_empty() { "-".to_owned() } else { number.to_string() };
    let errors_cell = Cell::new(known(errors));
    vec![
        Cell::new(printable(&hit.trace_id)),
        Cell::new(utc_text(hit.start_time_unix_nano)),
        Cell::new(printable(&hit.root_service_name)),
        Cell::new(printable(&hit.root_trace_name)),
        Cell::new(match hit.duration_ms {
            0 => "<1ms".to_owned(),
            millis => duration_text(millis.saturating_mul(1_000_000), terminal.unicode),
        }),
        Cell::new(hit.matched()),
        Cell::new(known(spans)),
        if errors > 0 { errors_cell.fg(Color::Red) } else { errors_cell },
    ]
}

/// Attribute names with their scopes.
pub(super) fn tags_table(answer: &TagNamesAnswer, terminal: &Terminal) -> String {
    let mut table = terminal.table(&["Scope", "Attribute"]);
    let mut scopes: Vec<_> = answer.scopes.iter().collect();
    scopes.sort_by_key(|scope| &scope.name);
    for scope in scopes {
        for tag in &scope.tags {
            table.add_row([printable(&scope.name), printable(tag)]);
        }
    }
    let tags: usize = answer.scopes.iter().map(|scope| scope.tags.len()).sum();
    format!("{}{}\n", lines(&table), count(tags as u64, "attribute"))
}

/// Values with their types.
pub(super) fn values_table(answer: &TagValuesAnswer, terminal: &Terminal) -> String {
    let mut table = terminal.table(&["Type", "Value"]);
    for value in &answer.tag_values {
        table.add_row([printable(&value.kind), printable(&value.value)]);
    }
    format!("{}{}\n", lines(&table), count(answer.tag_values.len() as u64, "value"))
}

/// The table as lines without trailing blanks, and an empty line; nothing of one without rows.
pub(crate) fn lines(table: &Table) -> String {
    if table.is_empty() {
        return String::new();
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").chain(["\n".to_owned()]).collect()
}

/// `1 span`, `12,345 spans`.
pub(crate) fn count(number: u64, what: &str) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let plural = if number == 1 { "" } else { "s" };
    format!("{text} {what}{plural}")
}

#[cfg(test)]
mod tests;
