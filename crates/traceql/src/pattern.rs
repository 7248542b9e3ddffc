//! Regular expressions as TraceQL means them: RE2 syntax, matching the whole value, `.` matching newlines too
//! (`reference/tempo.md` 4.5). RE2 syntax differs from that of the `regex` crate in a few spots, which are rewritten.

use regex::{Regex, RegexBuilder};

/// Bytes a compiled pattern may take.
const MAX_COMPILED_SIZE: usize = 4 << 20;

/// Compiles the pattern of `=~` and `!~`; `is_match` on the result answers `=~`.
///
/// # Errors
/// Says what is wrong with a pattern that is not RE2, or takes more than 4 MiB compiled.
pub fn compile_pattern(pattern: &str) -> Result<Regex, String> {
    compile(pattern)
}

pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    // Alone first: `)` and `(` must pair within the pattern, not with the brackets put around it.
    let translated = translate(pattern)?;
    build(&translated)?;
    build(&format!("^(?s:{translated})$"))
}

fn build(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(MAX_COMPILED_SIZE).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => format!("takes more than {limit} bytes compiled"),
        // The last line says what is wrong, those before draw where.
        error => {
            let text = error.to_string();
            text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    })
}

/// RE2 syntax to that of the `regex` crate.
fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '\\' => escape(after, false, &mut out)?,
            '[' => class(after, &mut out)?,
            // A brace that starts no repetition stands for itself.
            '{' if !is_repetition(after) => {
                out.push_str(r"\{");
                after
            }
            '{' => {
                let (bounds, after) = rest.split_at(rest.find('}').map_or(rest.len(), |end| end + 1));
                out.push_str(bounds);
                after
            }
            '}' => {
                out.push_str(r"\}");
                after
            }
            '(' if after.starts_with('?') => flags(after, &mut out)?,
            _ => {
                out.push(c);
                after
            }
        };
    }
    Ok(out)
}

/// Whether `text`, which follows `{`, reads `n}`, `n,}` or `n,m}`.
fn is_repetition(text: &str) -> bool {
    let Some((bounds, _)) = text.split_once('}') else { return false };
    let (low, high) = bounds.split_once(',').unwrap_or((bounds, "0"));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    !low.is_empty() && digits(low) && digits(high)
}

/// Copies `(`; flags only the `regex` crate knows are refused.
fn flags<'a>(after: &'a str, out: &mut String) -> Result<&'a str, String> {
    let names = after.trim_start_matches('?');
    let end = names.find(|c: char| !(c.is_ascii_alphabetic() || c == '-')).unwrap_or(names.len());
    let flags = names.get(..end).unwrap_or_default();
    let is_group_name = names.starts_with("P<") || names.starts_with('<');
    if !is_group_name && flags.contains(|c| !"imsU-".contains(c)) {
        return Err("unknown flag in a group".to_owned());
    }
    out.push('(');
    Ok(after)
}

/// Translates what follows a backslash and returns what is left. Perl classes are ASCII in RE2.
fn escape<'a>(after: &'a str, in_class: bool, out: &mut String) -> Result<&'a str, String> {
    let Some(c) = after.chars().next() else { return Err("trailing backslash".to_owned()) };
    let rest = after.get(c.len_utf8()..).unwrap_or_default();
    match c {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str(r"[\t\n\f\r ]"),
        'S' => out.push_str(r"[^\t\n\f\r ]"),
        'b' if !in_class => out.push_str(r"(?-u:\b)"),
        'Q' if !in_class => {
            let (quoted, rest) = rest.split_once(r"\E").unwrap_or((rest, ""));
            out.push_str(&regex::escape(quoted));
            return Ok(rest);
        }
        'p' | 'P' | 'x' if rest.starts_with('{') => {
            let (braces, rest) = rest.split_at(rest.find('}').map_or(rest.len(), |end| end + 1));
            out.push('\\');
            out.push(c);
            out.push_str(braces);
            return Ok(rest);
        }
        '<' | '>' => out.push(c),
        '0'..='7' => return octal(after, out),
        _ => {
            out.push('\\');
            out.push(c);
        }
    }
    Ok(rest)
}

/// `\0` with up to two more digits, or `\1`..`\7` with at least one more.
fn octal<'a>(text: &'a str, out: &mut String) -> Result<&'a str, String> {
    let length = text.chars().take(3).take_while(|c| c.is_digit(8)).count();
    let (digits, rest) = text.split_at(length);
    if length < 2 && digits != "0" {
        return Err("backreferences are not supported".to_owned());
    }
    let code = u32::from_str_radix(digits, 8).map_err(|_| "invalid octal escape".to_owned())?;
    out.push_str(&format!(r"\x{{{code:x}}}"));
    Ok(rest)
}

/// Translates a bracketed class after its `[` and returns what follows its `]`.
fn class<'a>(text: &'a str, out: &mut String) -> Result<&'a str, String> {
    out.push('[');
    let mut rest = text;
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    let mut first = true;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            ']' if !first => {
                out.push(']');
                return Ok(after);
            }
            '\\' => escape(after, true, out)?,
            '[' if after.starts_with(':') && after.contains(":]") => {
                let end = rest.find(":]").map_or(rest.len(), |end| end + 2);
                let (named, after) = rest.split_at(end);
                out.push_str(named);
                after
            }
            // Set operations and nested classes are not RE2.
            '[' | ']' | '&' | '~' => {
                out.push('\\');
                out.push(c);
                after
            }
            '-' if after.starts_with('-') => {
                out.push_str(r"\-");
                after
            }
            _ => {
                out.push(c);
                after
            }
        };
        first = false;
    }
    Err("missing closing ]".to_owned())
}

#[cfg(test)]
mod tests;
