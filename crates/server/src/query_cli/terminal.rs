use std::env;

use comfy_table::{ContentArrangement, Table, presets};

/// What the place that output goes to can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// Columns; `None` when it is not a terminal and lines may have any length.
    pub(crate) width: Option<usize>,
    /// Whether characters beyond ASCII arrive.
    pub(crate) unicode: bool,
    /// Whether colour is seen and wanted.
    pub(crate) colour: bool,
}

/// Line width where there is no terminal to ask, for drawings that need one.
const DEFAULT_WIDTH: usize = 120;

impl Terminal {
    /// Asks the environment: the terminal's size, the locale, and `NO_COLOR` (<https://no-color.org>).
    pub(crate) fn detect(ascii: bool) -> Self {
        let table = Table::new();
        let wants_colour = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            width: table.width().map(usize::from),
            unicode: !ascii && locale_is_utf8(|name| env::var(name).ok()),
            colour: table.is_tty() && wants_colour,
        }
    }

    /// The width to draw in.
    pub(super) fn drawing_width(&self) -> usize {
        let from_env = || env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        self.width.or_else(from_env).unwrap_or(DEFAULT_WIDTH).clamp(60, 400)
    }

    /// An empty table that fits.
    pub(crate) fn table(&self, header: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).force_no_tty().set_header(header.to_vec());
        match self.width {
            None => table.set_content_arrangement(ContentArrangement::Disabled),
            Some(width) => table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(u16::try_from(width).unwrap_or(u16::MAX)),
        };
        if self.colour {
            table.enforce_styling();
        }
        table
    }

    /// `text` in an ANSI colour, when colour is seen and wanted.
    pub(super) fn paint(&self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// POSIX: the first of these that is set and not empty decides.
fn locale_is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| variable(name).filter(|v| !v.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// Text from a server with nothing left in it that a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    let harmful = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if harmful(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests;
