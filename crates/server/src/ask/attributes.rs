use vivace_base::UnixNanos;
use vivace_query::{
    TagNames, TagNamesRequest, TagScope, TagValue, TagValueKind, TagValues, TagValuesRequest,
};
use vivace_traceql::{
    Attribute, FieldExpr, Intrinsic, Scope, check_condition_groups, parse_attribute, parse_tag_filter,
};

use super::{InvalidQuestion, When, check_length};

/// A request for the engine, or the answer at once.
#[derive(Debug, Clone)]
pub(crate) enum Answer<Request, Response> {
    /// The engine knows.
    Ask(Request),
    /// It is known without looking.
    Known(Response),
}

/// Which attribute names there are (`reference/tempo.md` 2.4).
#[derive(Debug, Clone, Default)]
pub(crate) struct TagNamesQuestion {
    /// One of Tempo's scopes; empty for all.
    pub(crate) scope: String,
    /// A TraceQL filter, perhaps half typed; empty for none.
    pub(crate) query: String,
    /// When.
    pub(crate) when: When,
    /// How many per scope; 0 for the engine's own limit.
    pub(crate) limit: u32,
}

/// Which values an attribute has (`reference/tempo.md` 2.4).
#[derive(Debug, Clone, Default)]
pub(crate) struct TagValuesQuestion {
    /// Its name.
    pub(crate) name: String,
    /// A TraceQL filter, perhaps half typed; empty for none. The first version of the API has none.
    pub(crate) query: String,
    /// When.
    pub(crate) when: When,
    /// How many; 0 for the engine's own limit.
    pub(crate) limit: u32,
}

impl TagNamesQuestion {
    /// Whether the first version of the API leaves out intrinsics, which it lists only to who asks for them.
    pub(crate) fn hides_intrinsics(&self) -> bool {
        self.scope != "intrinsic"
    }

    /// What the engine is to do.
    ///
    /// # Errors
    /// [`InvalidQuestion`] says which part is wrong.
    pub(crate) fn request(
        &self,
        now: UnixNanos,
    ) -> Result<Answer<TagNamesRequest, TagNames>, InvalidQuestion> {
        let scope = match self.scope.as_str() {
            "" | "none" => None,
            "resource" => Some(TagScope::Resource),
            "span" => Some(TagScope::Span),
            "event" => Some(TagScope::Event),
            "link" => Some(TagScope::Link),
            "instrumentation" => Some(TagScope::Instrumentation),
            "intrinsic" => Some(TagScope::Intrinsic),
            // A scope that no attribute has.
            "trace" => return Ok(Answer::Known(TagNames::default())),
            other => return Err(InvalidQuestion::new(format!("invalid scope: {other}"))),
        };
        let (filter, range) = (filter(&self.query, 1)?, self.when.range(now)?);
        Ok(Answer::Ask(TagNamesRequest { scope, filter, range, limit: self.limit as usize }))
    }
}

impl TagValuesQuestion {
    /// What the engine is to do for the first version of the API: an attribute of any scope, or an intrinsic, by its
    /// bare name.
    ///
    /// # Errors
    /// [`InvalidQuestion`] says which part is wrong.
    pub(crate) fn request_v1(
        &self,
        now: UnixNanos,
    ) -> Result<Answer<TagValuesRequest, TagValues>, InvalidQuestion> {
        let attribute = match self.name.as_str() {
            "status.code" => return Ok(Answer::Known(keywords(&["error", "ok", "unset"]))),
            "error" => return Ok(Answer::Known(keywords(&["true"]))),
            name => match Intrinsic::from_name(name) {
                Some(intrinsic) => Attribute::Intrinsic(intrinsic),
                None => Attribute::Named { scope: Scope::None, name: name.to_owned(), parent: false },
            },
        };
        let range = self.when.range(now)?;
        Ok(Answer::Ask(TagValuesRequest { attribute, filter: None, range, limit: self.limit as usize }))
    }

    /// What the engine is to do for the second version of the API: an attribute as TraceQL writes it.
    ///
    /// # Errors
    /// [`InvalidQuestion`] says which part is wrong.
    pub(crate) fn request_v2(&self, now: UnixNanos) -> Result<TagValuesRequest, InvalidQuestion> {
        let invalid = |error| InvalidQuestion::new(format!("please provide a valid tagName: {error}"));
        let attribute = parse_attribute(&self.name).map_err(invalid)?;
        let unscoped = matches!(attribute, Attribute::Named { scope: Scope::None, .. });
        let (filter, range) = (filter(&self.query, 1 + usize::from(unscoped))?, self.when.range(now)?);
        Ok(TagValuesRequest { attribute, filter, range, limit: self.limit as usize })
    }
}

fn keywords(texts: &[&str]) -> TagValues {
    let value = |text: &&str| TagValue { kind: TagValueKind::Keyword, text: (*text).to_owned() };
    TagValues { values: texts.iter().map(value).collect(), ..TagValues::default() }
}

/// The filter of a tag endpoint; what is asked for is looked up in that many places.
fn filter(text: &str, lookups: usize) -> Result<Option<FieldExpr>, InvalidQuestion> {
    check_length(text)?;
    let filter = parse_tag_filter(text);
    if let Some(filter) = &filter {
        check_condition_groups(filter, lookups).map_err(|error| InvalidQuestion::new(error.to_string()))?;
    }
    Ok(filter)
}
