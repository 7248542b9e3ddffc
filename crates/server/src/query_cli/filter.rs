use clap::Args;

/// A TraceQL filter made from flags.
#[derive(Debug, Args, Default)]
pub(super) struct Filter {
    /// Instead of TraceQL: spans of this service
    #[arg(long, value_name = "NAME")]
    pub(super) service: Option<String>,
    /// Instead of TraceQL: spans with this attribute value; may be repeated, all must hold
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = parse_tag)]
    pub(super) tags: Vec<(String, String)>,
}

fn parse_tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

const SCOPES: [&str; 5] = ["span.", "resource.", "event.", "link.", "instrumentation."];
const TEXT_INTRINSICS: [&str; 4] = ["name", "rootName", "rootServiceName", "statusMessage"];
const KEYWORD_INTRINSICS: [&str; 2] = ["status", "kind"];

impl Filter {
    /// The filter as TraceQL; `None` when no flag was given.
    pub(super) fn to_traceql(&self) -> Option<String> {
        let service = self.service.iter().map(|name| format!("resource.service.name = {}", quoted(name)));
        let tags = self.tags.iter().map(|(name, value)| condition(name, value));
        let conditions: Vec<String> = service.chain(tags).collect();
        (!conditions.is_empty()).then(|| format!("{{ {} }}", conditions.join(" && ")))
    }
}

/// `name = value`. Istio writes numbers as text and SDKs write them as numbers, so a number is looked for as both.
fn condition(name: &str, value: &str) -> String {
    if TEXT_INTRINSICS.contains(&name) {
        return format!("{name} = {}", quoted(value));
    }
    if KEYWORD_INTRINSICS.contains(&name) && value.bytes().all(|b| b.is_ascii_lowercase()) {
        return format!("{name} = {value}");
    }
    let attribute = attribute(name);
    let text = format!("{attribute} = {}", quoted(value));
    if is_literal(value) { format!("({text} || {attribute} = {value})") } else { text }
}

fn is_literal(value: &str) -> bool {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    matches!(value, "true" | "false") || (digits && value.parse::<i64>().is_ok())
}

/// The attribute with its scope. Characters that would end a name make it quoted (`reference/tempo.md` 4.1).
fn attribute(name: &str) -> String {
    let scope = SCOPES.into_iter().find(|scope| name.starts_with(scope) && name.len() > scope.len());
    let (scope, bare) = match scope {
        Some(scope) => (scope, name.get(scope.len()..).unwrap_or_default()),
        None => (".", name.strip_prefix('.').filter(|rest| !rest.is_empty()).unwrap_or(name)),
    };
    let ends_name = |c: char| c.is_whitespace() || "{}()=~!<>&|^,\"\\".contains(c);
    if !bare.contains(ends_name) {
        return format!("{scope}{bare}");
    }
    let escaped = bare.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{scope}\"{escaped}\"")
}

/// A string literal with Go's escapes, which TraceQL uses.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
